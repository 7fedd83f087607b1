"""Flux.1: dev and schnell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twinloop.families import parts
from twinloop.families.base import Family, Guidance, Preset, SingleFile, TrainableEncoders
from twinloop.families.flux_layers import flux_layers
from twinloop.families.lora_layers import Fit, LoraLayers
from twinloop.families.lora_names import LoraNames, Rename
from twinloop.families.losses import FlowLoss
from twinloop.families.sizes import Layout, Size
from twinloop.ports import GenerationSettings

WORDS, SCHNELL_WORDS = 512, 256
"""Tokens that T5 gives: [dev] and Kontext, [schnell]."""
_DOUBLE, _SINGLE = "transformer_blocks.{}", "single_transformer_blocks.{}"
BLOCK_RENAMES = (
    Rename("double_blocks.{}.img_attn.qkv", tuple(f"{_DOUBLE}.attn.to_{part}" for part in "qkv")),
    Rename("double_blocks.{}.img_attn.proj", (f"{_DOUBLE}.attn.to_out.0",)),
    Rename("double_blocks.{}.img_mlp.0", (f"{_DOUBLE}.ff.net.0.proj",)),
    Rename("double_blocks.{}.img_mlp.2", (f"{_DOUBLE}.ff.net.2",)),
    Rename("double_blocks.{}.txt_attn.qkv", tuple(f"{_DOUBLE}.attn.add_{part}_proj" for part in "qkv")),
    Rename("double_blocks.{}.txt_attn.proj", (f"{_DOUBLE}.attn.to_add_out",)),
    Rename("double_blocks.{}.txt_mlp.0", (f"{_DOUBLE}.ff_context.net.0.proj",)),
    Rename("double_blocks.{}.txt_mlp.2", (f"{_DOUBLE}.ff_context.net.2",)),
    Rename(
        "single_blocks.{}.linear1",
        (*(f"{_SINGLE}.attn.to_{part}" for part in "qkv"), f"{_SINGLE}.proj_mlp"),
        shares=(1, 1, 1, 4),
    ),
    Rename("single_blocks.{}.linear2", (f"{_SINGLE}.proj_out",)),
)
"""Of attentions and MLPs, which Chroma has as well."""
_RENAMES = (
    *BLOCK_RENAMES,
    Rename("double_blocks.{}.img_mod.lin", (f"{_DOUBLE}.norm1.linear",)),
    Rename("double_blocks.{}.txt_mod.lin", (f"{_DOUBLE}.norm1_context.linear",)),
    Rename("single_blocks.{}.modulation.lin", (f"{_SINGLE}.norm.linear",)),
)
_EMBEDDER = "time_text_embed"
_OTHERS = (
    Rename("img_in", ("x_embedder",)),
    Rename("txt_in", ("context_embedder",)),
    Rename("time_in.in_layer", (f"{_EMBEDDER}.timestep_embedder.linear_1",)),
    Rename("time_in.out_layer", (f"{_EMBEDDER}.timestep_embedder.linear_2",)),
    Rename("vector_in.in_layer", (f"{_EMBEDDER}.text_embedder.linear_1",)),
    Rename("vector_in.out_layer", (f"{_EMBEDDER}.text_embedder.linear_2",)),
    Rename("guidance_in.in_layer", (f"{_EMBEDDER}.guidance_embedder.linear_1",)),
    Rename("guidance_in.out_layer", (f"{_EMBEDDER}.guidance_embedder.linear_2",)),
    Rename("final_layer.linear", ("proj_out",)),
    Rename("final_layer.adaLN_modulation.1", ("norm_out.linear",), swapped=True),
)
_DIFFSYNTH = (
    *(
        Rename(f"blocks.{{}}.attn.{side}_to_qkv", tuple(f"{_DOUBLE}.attn.{name}" for name in names))
        for side, names in (("a", ("to_q", "to_k", "to_v")), ("b", ("add_q_proj", "add_k_proj", "add_v_proj")))
    ),
    Rename("blocks.{}.attn.a_to_out", (f"{_DOUBLE}.attn.to_out.0",)),
    Rename("blocks.{}.attn.b_to_out", (f"{_DOUBLE}.attn.to_add_out",)),
    *(
        rename
        for side, mlp, norm in (("a", "ff", "norm1"), ("b", "ff_context", "norm1_context"))
        for rename in (
            Rename(f"blocks.{{}}.ff_{side}.0", (f"{_DOUBLE}.{mlp}.net.0.proj",)),
            Rename(f"blocks.{{}}.ff_{side}.2", (f"{_DOUBLE}.{mlp}.net.2",)),
            Rename(f"blocks.{{}}.norm1_{side}.linear", (f"{_DOUBLE}.{norm}.linear",)),
        )
    ),
    Rename(
        "single_blocks.{}.to_qkv_mlp",
        (*(f"{_SINGLE}.attn.to_{part}" for part in "qkv"), f"{_SINGLE}.proj_mlp"),
        shares=(1, 1, 1, 4),
    ),
    Rename("single_blocks.{}.proj_out", (f"{_SINGLE}.proj_out",)),
    Rename("single_blocks.{}.norm.linear", (f"{_SINGLE}.norm.linear",)),
)
"""Of DiffSynth-Studio's own model, whose trainer writes them unless it is told to ``align_to_opensource_format``."""
BLOCKS = {"num_layers": 19, "num_single_layers": 38, "in_channels": 64}
"""Of all models of this build."""
STACKS = {
    "num_layers": ("double_blocks", "transformer_blocks"),
    "num_single_layers": ("single_blocks", "single_transformer_blocks"),
}
INPUTS = {"in_channels": ("img_in.weight", "x_embedder.weight")}


def encode(pipeline: Any, text: str, device: Any) -> dict[str, Any]:
    """As many words as the model was made with: a denoiser that is told no guidance is [schnell]'s."""
    words = WORDS if pipeline.transformer.config.guidance_embeds else SCHNELL_WORDS
    embedded, pooled, _ = pipeline.encode_prompt(
        prompt=text, prompt_2=None, device=device, num_images_per_prompt=1, max_sequence_length=words
    )
    return {"prompt_embeds": embedded, "pooled_prompt_embeds": pooled}


def encode_trained(pipeline: Any, texts: Sequence[str], cached: Any, device: Any) -> dict[str, Any]:
    """CLIP gives the summary alone; the words are T5's."""
    ids = parts.token_ids(pipeline.tokenizer, texts, pipeline.tokenizer_max_length)
    return {**cached, "pooled_prompt_embeds": pipeline.text_encoder(ids.to(device)).pooler_output}


def denoise(model: Any, latents: Any, times: Any, words: Any, sizes: Any) -> Any:
    """(n, 16, h, w) latents -> their velocity, of the same shape; the denoiser takes tokens of two by two cells."""
    n, _, height, width = latents.shape
    texts = words["prompt_embeds"]
    made = model(
        hidden_states=parts.packed(latents),
        timestep=times / 1000,
        # trained at the scale that changes nothing
        guidance=latents.new_ones(n) if model.config.guidance_embeds else None,
        pooled_projections=words["pooled_prompt_embeds"],
        encoder_hidden_states=texts,
        txt_ids=texts.new_zeros(texts.shape[1], 3),
        img_ids=parts.positions(latents, height // 2, width // 2, 3),
        return_dict=False,
    )[0]
    return parts.unpacked(made, height, width)


def to_raw(pipeline: Any, made: Any, height: int, width: int) -> Any:
    """(n, h/2 x w/2, 64) tokens -> (n, 16, h, w) cells, scaled and shifted back."""
    return parts.unscaled(
        pipeline.vae, parts.unpacked(made, parts.cells(pipeline, height), parts.cells(pipeline, width))
    )


def fit(layers: LoraLayers) -> Fit:
    """By the names of its blocks, by an MLP that is not gated as FLUX.2's is, and by what Chroma has not."""
    found = flux_layers(layers)
    if found is None or found.second:
        return Fit.OPEN
    return Fit.YES if found.sure else Fit.LIKELY


FAMILY = Family(
    name="flux",
    pipeline="FluxPipeline",
    image_pipeline="FluxImg2ImgPipeline",
    reference="black-forest-labs/FLUX.1-dev",
    download="34 GB",
    gated=True,
    targets=(
        *parts.JOINT_ATTENTION,
        "ff.net.0.proj",
        "ff.net.2",
        "ff_context.net.0.proj",
        "ff_context.net.2",
        "proj_mlp",
        "proj_out",
    ),
    architecture="flux-1-dev",
    base_version="flux1",
    licence="FLUX.1 [dev]: FLUX.1 [dev] Non-Commercial License; [schnell]: Apache-2.0.",
    encoders=("text_encoder", "text_encoder_2"),
    encode=encode,
    denoise=denoise,
    to_latents=parts.scaled,
    to_raw=to_raw,
    loss=FlowLoss(),
    trainable_encoders=TrainableEncoders({"text_encoder": "lora_te1_"}, encode_trained),
    guidance=Guidance(negative=False),
    lora_names=LoraNames(
        renames=_RENAMES,
        others=_OTHERS,
        also_read=_DIFFSYNTH,
        encoders={"text_encoder": "te1", "text_encoder_2": "te3"},
        architectures=("flux",),
        fit=fit,
    ),
    single_file=SingleFile(
        whole=False,
        model="FluxTransformer2DModel",
        marks=(
            (
                "double_blocks.0.img_attn.norm.key_norm.scale",
                "single_blocks.0.linear1.weight",
                "!single_stream_modulation.lin.weight",
                "!distilled_guidance_layer.in_proj.bias",
            ),
            (
                "single_transformer_blocks.0.proj_mlp.weight",
                "transformer_blocks.0.attn.norm_added_k.weight",
                "context_embedder.weight",
                "time_text_embed.text_embedder.linear_1.weight",
            ),
        ),
        layout=Layout(
            stacks=STACKS,
            inputs=INPUTS,
            switches={
                "guidance_embeds": ("guidance_in.in_layer.weight", "time_text_embed.guidance_embedder.linear_1.weight")
            },
        ),
    ),
    sizes=(
        Size("[dev]", {**BLOCKS, "guidance_embeds": True}),
        Size("[schnell]", {**BLOCKS, "guidance_embeds": False}, "black-forest-labs/FLUX.1-schnell"),
    ),
    presets={
        "flux": Preset(
            GenerationSettings(steps=25, guidance=3.5, width=1024, height=1024, batch_size=1),
            parts.flow_training("flux"),
            repeats=10,
            hints=("flux",),
            aliases={"flux1": "", "flux.1": ""},
        ),
        "flux-schnell": Preset(
            GenerationSettings(steps=4, guidance=0.0, width=1024, height=1024, batch_size=1),
            parts.flow_training("flux-schnell"),
            repeats=10,
            hints=("schnell", "flux.1-schnell"),
            distilled=(
                "FLUX.1 [schnell] is distilled to four steps; a LoRA trained on it tends to lose that: let"
                " training.assistant_lora name its training adapter (ostris/FLUX.1-schnell-training-adapter). FLUX.1"
                " [dev] trains better where its licence allows."
            ),
        ),
    },
)
