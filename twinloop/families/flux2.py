"""Flux.2 [dev]; its smaller sibling Klein, which has other text encoders, borrows from here."""

from __future__ import annotations

from typing import Any

from twinloop.families import parts
from twinloop.families.base import Editing, Family, Guidance, Preset, SingleFile
from twinloop.families.flux_layers import flux_layers
from twinloop.families.lora_layers import Fit, LoraLayers
from twinloop.families.lora_names import LoraNames, Rename
from twinloop.families.losses import FlowLoss
from twinloop.families.sizes import Layout, Size
from twinloop.ports import GenerationSettings

_DOUBLE, _SINGLE = "transformer_blocks.{}", "single_transformer_blocks.{}"
_RENAMES = (
    Rename("double_blocks.{}.img_attn.qkv", tuple(f"{_DOUBLE}.attn.to_{part}" for part in "qkv")),
    Rename("double_blocks.{}.img_attn.proj", (f"{_DOUBLE}.attn.to_out.0",)),
    Rename("double_blocks.{}.img_mlp.0", (f"{_DOUBLE}.ff.linear_in",)),
    Rename("double_blocks.{}.img_mlp.2", (f"{_DOUBLE}.ff.linear_out",)),
    Rename("double_blocks.{}.txt_attn.qkv", tuple(f"{_DOUBLE}.attn.add_{part}_proj" for part in "qkv")),
    Rename("double_blocks.{}.txt_attn.proj", (f"{_DOUBLE}.attn.to_add_out",)),
    Rename("double_blocks.{}.txt_mlp.0", (f"{_DOUBLE}.ff_context.linear_in",)),
    Rename("double_blocks.{}.txt_mlp.2", (f"{_DOUBLE}.ff_context.linear_out",)),
    Rename("single_blocks.{}.linear1", (f"{_SINGLE}.attn.to_qkv_mlp_proj",)),
    Rename("single_blocks.{}.linear2", (f"{_SINGLE}.attn.to_out",)),
)
_EMBEDDER = "time_guidance_embed"
_OTHERS = (
    Rename("img_in", ("x_embedder",)),
    Rename("txt_in", ("context_embedder",)),
    Rename("time_in.in_layer", (f"{_EMBEDDER}.timestep_embedder.linear_1",)),
    Rename("time_in.out_layer", (f"{_EMBEDDER}.timestep_embedder.linear_2",)),
    Rename("guidance_in.in_layer", (f"{_EMBEDDER}.guidance_embedder.linear_1",)),
    Rename("guidance_in.out_layer", (f"{_EMBEDDER}.guidance_embedder.linear_2",)),
    Rename("single_stream_modulation.lin", ("single_stream_modulation.linear",)),
    Rename("double_stream_modulation_img.lin", ("double_stream_modulation_img.linear",)),
    Rename("double_stream_modulation_txt.lin", ("double_stream_modulation_txt.linear",)),
    Rename("final_layer.linear", ("proj_out",)),
    Rename("final_layer.adaLN_modulation.1", ("norm_out.linear",), swapped=True),
)
_KLEIN_WIDTHS = (3072, 4096)
LAYOUT = Layout(
    stacks={
        "num_layers": ("double_blocks", "transformer_blocks"),
        "num_single_layers": ("single_blocks", "single_transformer_blocks"),
    },
    inputs={"in_channels": ("img_in.weight", "x_embedder.weight")},
    switches={
        "guidance_embeds": ("guidance_in.in_layer.weight", "time_guidance_embed.guidance_embedder.linear_1.weight")
    },
)
STEPS = 1000
"""Of a training."""


def encode(pipeline: Any, text: str, device: Any) -> dict[str, Any]:
    """(1, 512, width) words of Mistral, or of Klein's Qwen3: three of its layers side by side."""
    words, _ = pipeline.encode_prompt(prompt=text, device=device, num_images_per_prompt=1, max_sequence_length=512)
    return {"prompt_embeds": words}


def denoise(model: Any, latents: Any, times: Any, words: Any, sizes: Any) -> Any:
    """Latents are two-by-two patches already: a token is a cell."""
    n, channels, height, width = latents.shape
    texts = words["prompt_embeds"]
    places = texts.new_zeros(texts.shape[1], 4)
    places[:, 3] = texts.new_ones(texts.shape[1]).long().cumsum(0) - 1
    made = model(
        hidden_states=latents.reshape(n, channels, height * width).permute(0, 2, 1),
        timestep=times / 1000,
        guidance=latents.new_ones(n) if model.config.guidance_embeds else None,
        encoder_hidden_states=texts,
        txt_ids=places.expand(n, -1, -1),
        img_ids=parts.positions(latents, height, width, 4).expand(n, -1, -1),
        return_dict=False,
    )[0]
    return made.permute(0, 2, 1).reshape(n, channels, height, width)


def to_latents(vae: Any, raw: Any) -> Any:
    """Two by two cells become the channels of one, then each channel is centred and scaled as the autoencoder measured
    it.
    """
    n, c, h, w = raw.shape
    cells = raw.view(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(n, 4 * c, h // 2, w // 2)
    mean = vae.bn.running_mean.view(1, -1, 1, 1).to(cells)
    std = (vae.bn.running_var.view(1, -1, 1, 1) + vae.config.batch_norm_eps).sqrt().to(cells)
    return (cells - mean) / std


def to_raw(pipeline: Any, made: Any, height: int, width: int) -> Any:
    """The Klein pipeline gives back what its autoencoder decodes; the large one, tokens."""
    if made.ndim == 4:
        return made
    vae = pipeline.vae
    h, w = parts.cells(pipeline, height) // 2, parts.cells(pipeline, width) // 2
    cells = made.permute(0, 2, 1).reshape(made.shape[0], made.shape[2], h, w)
    mean = vae.bn.running_mean.view(1, -1, 1, 1).to(cells)
    std = (vae.bn.running_var.view(1, -1, 1, 1) + vae.config.batch_norm_eps).sqrt().to(cells)
    raw = (cells * std + mean).reshape(made.shape[0], made.shape[2] // 4, 2, 2, h, w)
    return raw.permute(0, 1, 4, 2, 5, 3).reshape(made.shape[0], made.shape[2] // 4, 2 * h, 2 * w)


def fit(layers: LoraLayers) -> Fit:
    """By the names of its blocks or its gated MLP, and by its width."""
    found = flux_layers(layers)
    if found is None or not found.second or is_klein(layers):
        return Fit.OPEN
    return Fit.YES if found.sure else Fit.LIKELY


def is_klein(layers: LoraLayers) -> bool:
    """Whether it is for the narrower of the models."""
    found = flux_layers(layers)
    return found is not None and found.second and found.width in _KLEIN_WIDTHS


FAMILY = Family(
    name="flux2",
    pipeline="Flux2Pipeline",
    image_pipeline="",
    reference="black-forest-labs/FLUX.2-dev",
    download="112 GB",
    gated=True,
    targets=(
        *parts.JOINT_ATTENTION,
        "ff.linear_in",
        "ff.linear_out",
        "ff_context.linear_in",
        "ff_context.linear_out",
        "attn.to_qkv_mlp_proj",
        "attn.to_out",
    ),
    architecture="Flux.2-dev",
    base_version="flux2",
    licence="FLUX.2 [dev]: FLUX [dev] Non-Commercial License.",
    encode=encode,
    denoise=denoise,
    to_latents=to_latents,
    to_raw=to_raw,
    loss=FlowLoss(),
    patch=1,
    editing=Editing({"Flux2Pipeline": 6}),
    guidance=Guidance(negative=False),
    lora_names=LoraNames(renames=_RENAMES, others=_OTHERS, architectures=("flux-2", "flux2", "flux.2"), fit=fit),
    single_file=SingleFile(
        whole=False,
        model="Flux2Transformer2DModel",
        marks=(
            ("single_stream_modulation.lin.weight", "guidance_in.in_layer.weight"),
            (
                "single_stream_modulation.linear.weight",
                "time_guidance_embed.guidance_embedder.linear_1.weight",
            ),
        ),
        layout=LAYOUT,
    ),
    sizes=(Size("[dev]", {"num_layers": 8, "num_single_layers": 48, "guidance_embeds": True, "in_channels": 128}),),
    presets={
        "flux2": Preset(
            GenerationSettings(steps=28, guidance=4.0, width=1024, height=1024, batch_size=1, references=3),
            parts.flow_training("flux2", steps=STEPS),
            repeats=10,
            hints=("flux.2", "flux-2", "flux2"),
        ),
    },
)
