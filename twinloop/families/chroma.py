"""Chroma 1, HD and Base: FLUX.1 [schnell] without CLIP and without layers that tell each block the time; one network
tells them all. It was trained anew to follow prompts by guidance, with negative ones.
"""

from __future__ import annotations

from typing import Any

from twinloop.families import flux, parts
from twinloop.families.base import Family, Preset, SingleFile
from twinloop.families.flux_layers import flux_layers
from twinloop.families.lora_layers import Fit, LoraLayers
from twinloop.families.lora_names import LoraNames, Rename
from twinloop.families.losses import FlowLoss
from twinloop.families.sizes import Layout, Size
from twinloop.ports import GenerationSettings

_TIME = "distilled_guidance_layer"
_OTHERS = (
    Rename("img_in", ("x_embedder",)),
    Rename("txt_in", ("context_embedder",)),
    Rename("final_layer.linear", ("proj_out",)),
    Rename(f"{_TIME}.in_proj", (f"{_TIME}.in_proj",)),
    Rename(f"{_TIME}.layers.{{}}.in_layer", (f"{_TIME}.layers.{{}}.linear_1",)),
    Rename(f"{_TIME}.layers.{{}}.out_layer", (f"{_TIME}.layers.{{}}.linear_2",)),
    Rename(f"{_TIME}.out_proj", (f"{_TIME}.out_proj",)),
)


def encode(pipeline: Any, text: str, device: Any) -> dict[str, Any]:
    """(1, n, 4096): the words of the text and one that fills up, which the model was trained to see; all are to be
    seen.

    The pipeline gives 512, and which of them are to be seen as floating-point numbers. Its attention would add those to
    its scores and so see all of them (huggingface/diffusers#12116).
    """
    words, _, seen, *_ = pipeline.encode_prompt(prompt=text, device=device, do_classifier_free_guidance=False)
    kept = words[:, : int(seen.bool().sum())].clone()  # the rest need not be kept in memory
    return {"prompt_embeds": kept, "prompt_attention_mask": kept.new_ones(kept.shape[:2]).bool()}


def denoise(model: Any, latents: Any, times: Any, words: Any, sizes: Any) -> Any:
    """(n, 16, h, w) latents -> their velocity, of the same shape, or n of (16, h, w) where texts differ in length.

    Those are answered one by one: with gradient checkpointing diffusers 0.42 forgets in half of the blocks which words
    are to be seen.
    """
    texts, seen = words["prompt_embeds"], words["prompt_attention_mask"]
    if bool(seen.all()):
        return _velocity(model, latents, times, texts)
    rows = [(slice(row, row + 1), int(length)) for row, length in enumerate(seen.sum(1))]
    return [_velocity(model, latents[row], times[row], texts[row, :length])[0] for row, length in rows]


def _velocity(model: Any, latents: Any, times: Any, texts: Any) -> Any:
    """The denoiser takes tokens of two by two cells, and all words of its texts are seen."""
    _, _, height, width = latents.shape
    made = model(
        hidden_states=parts.packed(latents),
        timestep=times / 1000,
        encoder_hidden_states=texts,
        txt_ids=texts.new_zeros(texts.shape[1], 3),
        img_ids=parts.positions(latents, height // 2, width // 2, 3),
        return_dict=False,
    )[0]
    return parts.unpacked(made, height, width)


def fit(layers: LoraLayers) -> Fit:
    """By the network that tells the blocks the time; its other layers are all FLUX.1's, too."""
    if layers.begin(rf"{_TIME}\."):
        return Fit.YES
    found = flux_layers(layers)
    return Fit.SHARED if found is not None and not found.second and not found.sure else Fit.OPEN


FAMILY = Family(
    name="chroma",
    pipeline="ChromaPipeline",
    image_pipeline="ChromaImg2ImgPipeline",
    reference="lodestones/Chroma1-HD",
    download="28 GB",
    targets=flux.FAMILY.targets,
    architecture="chroma",
    base_version="chroma",
    licence="Chroma 1: Apache-2.0.",
    encode=encode,
    denoise=denoise,
    to_latents=parts.scaled,
    to_raw=flux.to_raw,
    loss=FlowLoss(shift=1.0),  # as sd-scripts and ai-toolkit; the scheduler's own is for drawing
    joining="apart",
    lora_names=LoraNames(
        renames=flux.BLOCK_RENAMES,
        others=_OTHERS,
        words=("distilled_guidance_layer", "in_proj"),
        encoders={"text_encoder": "te3"},
        fit=fit,
    ),
    single_file=SingleFile(
        whole=False,
        model="ChromaTransformer2DModel",
        marks=(
            (
                "distilled_guidance_layer.in_proj.bias",
                "double_blocks.0.img_attn.norm.key_norm.scale",
                "img_in.weight",
            ),
            (
                "distilled_guidance_layer.in_proj.bias",
                "transformer_blocks.0.attn.norm_added_k.weight",
                "x_embedder.weight",
            ),
        ),
        layout=Layout(stacks=flux.STACKS, inputs=flux.INPUTS),
    ),
    sizes=(Size("Chroma 1", flux.BLOCKS),),
    presets={
        "chroma": Preset(
            GenerationSettings(steps=40, guidance=3.0, width=1024, height=1024, batch_size=1),
            parts.flow_training("chroma"),
            repeats=10,
            hints=("chroma",),
        ),
    },
)
