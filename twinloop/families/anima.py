"""Anima, a model of drawn pictures made of NVIDIA's Cosmos-Predict2."""

from __future__ import annotations

from typing import Any

from twinloop.families import parts
from twinloop.families.base import Family, Preset, SingleFile
from twinloop.families.lora_layers import Fit, LoraLayers
from twinloop.families.lora_names import LoraNames, Rename
from twinloop.families.losses import FlowLoss
from twinloop.families.sizes import Layout, Size
from twinloop.ports import GenerationSettings

_OURS, _THEIRS = "transformer_blocks.{}", "blocks.{}"
_RENAMES = (
    *(
        Rename(f"{_THEIRS}.{theirs}.{part}_proj", (f"{_OURS}.{ours}.{layer}",))
        for ours, theirs in (("attn1", "self_attn"), ("attn2", "cross_attn"))
        for part, layer in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("output", "to_out.0"))
    ),
    Rename(f"{_THEIRS}.mlp.layer1", (f"{_OURS}.ff.net.0.proj",)),
    Rename(f"{_THEIRS}.mlp.layer2", (f"{_OURS}.ff.net.2",)),
)
_OTHERS = (
    *(
        Rename(f"{_THEIRS}.adaln_modulation_{theirs}.{number}", (f"{_OURS}.{ours}.linear_{number}",))
        for ours, theirs in (("norm1", "self_attn"), ("norm2", "cross_attn"), ("norm3", "mlp"))
        for number in (1, 2)
    ),
    *(Rename(f"final_layer.adaln_modulation.{number}", (f"norm_out.linear_{number}",)) for number in (1, 2)),
    *(Rename(f"t_embedder.1.linear_{number}", (f"time_embed.t_embedder.linear_{number}",)) for number in (1, 2)),
    Rename("final_layer.linear", ("proj_out",)),
    Rename("x_embedder.proj.1", ("patch_embed.proj",)),
)
_WIDTH, _WORDS = 2048, 1024
"""Of the denoiser, and of the words that it sees."""
_NOT = (
    "nsfw, worst quality, low quality, score_1, score_2, score_3, bad anatomy, bad hands, jpeg artifacts, signature,"
    " watermark, artist name, text"
)
"""The model card's words for bad pictures, among those that other bases of tags are told."""
_TRAINING = parts.flow_training("anima", rank=32, alpha=32.0, learning_rate=5e-5, shuffle_captions=True)


def encode(pipeline: Any, text: str, device: Any) -> dict[str, Any]:
    """(1, 512, 1024): T5's tokens of the text, each with what Qwen 3 makes of the text, then zeros."""
    return {"prompt_embeds": pipeline.encode_prompt(text, device)}


def denoise(model: Any, latents: Any, times: Any, words: Any, sizes: Any) -> Any:
    """(n, 16, h, w) latents -> their velocity, of the same shape; to the denoiser they are one frame of a video, of
    which nothing is padding.
    """
    frames = latents.unsqueeze(2)
    return model(
        hidden_states=frames,
        timestep=times / 1000,
        encoder_hidden_states=words["prompt_embeds"],
        padding_mask=latents.new_zeros(1, 1, *latents.shape[2:]),
        return_dict=False,
    )[0].squeeze(2)


def to_raw(pipeline: Any, made: Any, height: int, width: int) -> Any:
    """(n, 16, 1, h, w), as the autoencoder of videos has them."""
    config = pipeline.vae.config
    # divided by the reciprocal, as the pipeline does it, so that not even the last bit differs
    return made / (1.0 / parts.per_channel(made, config.latents_std)) + parts.per_channel(made, config.latents_mean)


def fit(layers: LoraLayers) -> Fit:
    """By the original's names of its layers, or by diffusers' and the widths of an attention that sees words."""
    if layers.begin(r"blocks\.\d+\.((self|cross)_attn\.(q|k|v|output)_proj|mlp\.layer[12]|adaln_modulation_)"):
        return Fit.YES
    seeing = layers.first(".attn2.to_k", ".attn2.to_v")
    wide = seeing is not None and (seeing.inputs, seeing.outputs) == (_WORDS, _WIDTH)
    return Fit.LIKELY if wide and layers.begin(r"transformer_blocks\.\d+\.attn1\.") else Fit.OPEN


FAMILY = Family(
    name="anima",
    pipeline="AnimaModularPipeline",
    image_pipeline="AnimaModularPipeline",
    reference="circlestone-labs/Anima-Base-v1.0-Diffusers",
    download="6 GB",
    targets=(
        *(f"{attention}.{layer}" for attention in ("attn1", "attn2") for layer in ("to_q", "to_k", "to_v", "to_out.0")),
        "ff.net.0.proj",
        "ff.net.2",
    ),
    architecture="anima-preview",  # sd-scripts' word, also for what came after the preview
    base_version="anima",
    licence=(
        "Anima: CircleStone Labs Non-Commercial License, and as a derivative of Cosmos-Predict2 NVIDIA's Open Model"
        " License; what they say of LoRAs and of commercial use stands in their texts."
    ),
    encoders=("text_encoder", "text_conditioner"),
    tokenizers=("t5_tokenizer",),
    encode=encode,
    denoise=denoise,
    to_latents=parts.whitened,
    to_raw=to_raw,
    loss=FlowLoss(shift=1.0),  # sigmoid without a shift, as sd-scripts and its authors' diffusion-pipe train it
    joining="pad",
    frames=True,
    overflows_in_float16=True,  # https://github.com/Comfy-Org/ComfyUI/issues/12230
    lora_names=LoraNames(
        renames=_RENAMES,
        others=_OTHERS,
        words=(
            "llm_adapter",
            "cross_attn",
            "output_proj",
            "adaln_modulation",
            "adaln_modulation_self_attn",
            "adaln_modulation_cross_attn",
            "adaln_modulation_mlp",
            "layer1",
            "layer2",
            "blocks",
        ),
        architectures=("anima",),
        fit=fit,
    ),
    single_file=SingleFile(
        whole=False,
        model="CosmosTransformer3DModel",
        marks=(
            ("blocks.0.cross_attn.output_proj.weight", "llm_adapter.out_proj.weight"),
            ("transformer_blocks.0.norm3.linear_2.weight", "time_embed.t_embedder.linear_1.weight"),
        ),
        layout=Layout(stacks={"num_layers": ("blocks", "transformer_blocks")}),
        carries={"text_conditioner": "llm_adapter."},
    ),
    sizes=(Size("Anima", {"num_layers": 28}),),
    presets={
        "anima": Preset(
            GenerationSettings(steps=30, guidance=4.0, width=1024, height=1024, batch_size=1),
            _TRAINING,
            style="tags",
            prefix="masterpiece, best quality, score_7, safe",
            suffix="",
            negative=_NOT,
            repeats=10,
            hints=("anima-base", "anima-aesthetic", "anima-turbo", "anima-preview"),  # not AnimaPencil-XL
        ),
    },
)
