"""Stable Diffusion 3.5, Medium and Large (and 3 Medium, which shares the architecture)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twinloop.families import parts
from twinloop.families.base import Family, Preset, SingleFile, TrainableEncoders
from twinloop.families.lora_layers import Fit, LoraLayers
from twinloop.families.lora_names import LoraNames, Rename
from twinloop.families.losses import FlowLoss
from twinloop.families.sizes import Layout, Size
from twinloop.ports import GenerationSettings

_OURS, _X, _TEXT = "transformer_blocks.{}", "joint_blocks.{}.x_block", "joint_blocks.{}.context_block"
_RENAMES = (
    Rename(f"{_X}.attn.qkv", tuple(f"{_OURS}.attn.to_{part}" for part in "qkv")),
    Rename(f"{_X}.attn.proj", (f"{_OURS}.attn.to_out.0",)),
    Rename(f"{_X}.attn2.qkv", tuple(f"{_OURS}.attn2.to_{part}" for part in "qkv")),
    Rename(f"{_X}.attn2.proj", (f"{_OURS}.attn2.to_out.0",)),
    Rename(f"{_X}.mlp.fc1", (f"{_OURS}.ff.net.0.proj",)),
    Rename(f"{_X}.mlp.fc2", (f"{_OURS}.ff.net.2",)),
    Rename(f"{_TEXT}.attn.qkv", tuple(f"{_OURS}.attn.add_{part}_proj" for part in "qkv")),
    Rename(f"{_TEXT}.attn.proj", (f"{_OURS}.attn.to_add_out",)),
    Rename(f"{_TEXT}.mlp.fc1", (f"{_OURS}.ff_context.net.0.proj",)),
    Rename(f"{_TEXT}.mlp.fc2", (f"{_OURS}.ff_context.net.2",)),
)
_OTHERS = (
    Rename(f"{_X}.adaLN_modulation.1", (f"{_OURS}.norm1.linear",)),
    Rename(f"{_TEXT}.adaLN_modulation.1", (f"{_OURS}.norm1_context.linear",), swapped=True),
    Rename("x_embedder.proj", ("pos_embed.proj",)),
    Rename("context_embedder", ("context_embedder",)),
    Rename("t_embedder.mlp.0", ("time_text_embed.timestep_embedder.linear_1",)),
    Rename("t_embedder.mlp.2", ("time_text_embed.timestep_embedder.linear_2",)),
    Rename("y_embedder.mlp.0", ("time_text_embed.text_embedder.linear_1",)),
    Rename("y_embedder.mlp.2", ("time_text_embed.text_embedder.linear_2",)),
    Rename("final_layer.linear", ("proj_out",)),
    Rename("final_layer.adaLN_modulation.1", ("norm_out.linear",), swapped=True),
)
_WIDTHS = (1536, 2432)
"""Of Medium and Large."""


def encode(pipeline: Any, text: str, device: Any) -> dict[str, Any]:
    """(1, 333, 4096) words, those of both CLIPs side by side before T5's, and (1, 2048) summaries."""
    words, _, pooled, _ = pipeline.encode_prompt(
        prompt=text,
        prompt_2=None,
        prompt_3=None,
        device=device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=False,
    )
    return {"prompt_embeds": words, "pooled_prompt_embeds": pooled}


def encode_trained(pipeline: Any, texts: Sequence[str], cached: Any, device: Any) -> dict[str, Any]:
    """Both CLIP encoders' words lie side by side in the first tokens, before those of T5; their summaries side by side
    as well.
    """
    whole, pooled = cached["prompt_embeds"].clone(), cached["pooled_prompt_embeds"].clone()
    length, start = pipeline.tokenizer_max_length, 0
    for encoder, tokenizer in (
        (pipeline.text_encoder, pipeline.tokenizer),
        (pipeline.text_encoder_2, pipeline.tokenizer_2),
    ):
        output = encoder(parts.token_ids(tokenizer, texts, length).to(device), output_hidden_states=True)
        inner, summary = output.hidden_states[-2], output[0]
        end = start + summary.shape[-1]
        whole[:, :length, start:end] = inner
        pooled[:, start:end] = summary
        start = end
    return {"prompt_embeds": whole, "pooled_prompt_embeds": pooled}


def denoise(model: Any, latents: Any, times: Any, words: Any, sizes: Any) -> Any:
    """(n, 16, h, w) latents -> their velocity, of the same shape."""
    return model(
        hidden_states=latents, timestep=times, encoder_hidden_states=words["prompt_embeds"],
        pooled_projections=words["pooled_prompt_embeds"], return_dict=False,
    )[0]  # fmt: skip


def fit(layers: LoraLayers) -> Fit:
    """By the original's names of its blocks, or by its width, in which its attention differs from others'."""
    attention = layers.first(".attn.to_q", ".attn.add_q_proj")
    wide = attention is not None and attention.inputs in _WIDTHS and layers.begin(r"transformer_blocks\.")
    return Fit.YES if wide or layers.begin(r"joint_blocks\.") else Fit.OPEN


FAMILY = Family(
    name="sd35",
    pipeline="StableDiffusion3Pipeline",
    image_pipeline="StableDiffusion3Img2ImgPipeline",
    reference="stabilityai/stable-diffusion-3.5-medium",
    download="16 GB (Medium) or 27 GB (Large)",
    not_needed=("text_encoders/*", "*.fp16*"),  # copies for other programs, and second copies
    gated=True,
    targets=(
        *parts.JOINT_ATTENTION,
        "attn2.to_q",
        "attn2.to_k",
        "attn2.to_v",
        "attn2.to_out.0",
        "ff.net.0.proj",
        "ff.net.2",
        "ff_context.net.0.proj",
        "ff_context.net.2",
    ),
    architecture="stable-diffusion-3",
    base_version="sd3",
    licence=(
        "Stable Diffusion 3.5: Stability AI Community License; commercial use above its revenue limit needs a licence"
        " from Stability AI."
    ),
    encoders=("text_encoder", "text_encoder_2"),
    encode=encode,
    denoise=denoise,
    to_latents=parts.scaled,
    to_raw=parts.raw_of,
    loss=FlowLoss(),
    trainable_encoders=TrainableEncoders({"text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}, encode_trained),
    lora_names=LoraNames(renames=_RENAMES, others=_OTHERS, fit=fit),
    single_file=SingleFile(
        whole=False,
        model="SD3Transformer2DModel",
        marks=(
            ("joint_blocks.0.context_block.adaLN_modulation.1.bias",),
            (
                "transformer_blocks.0.attn.add_k_proj.weight",
                "context_embedder.weight",
                "pos_embed.proj.weight",
                "time_text_embed.text_embedder.linear_1.weight",
            ),
        ),
        layout=Layout(
            stacks={"num_layers": ("joint_blocks", "transformer_blocks")},
            inputs={"in_channels": ("x_embedder.proj.weight", "pos_embed.proj.weight")},
            switches={
                "qk_norm": ("joint_blocks.0.x_block.attn.ln_q.weight", "transformer_blocks.0.attn.norm_q.weight"),
                "dual_attention_layers": (
                    "joint_blocks.0.x_block.attn2.qkv.weight",
                    "transformer_blocks.0.attn2.to_q.weight",
                ),
            },
        ),
    ),
    sizes=(
        Size("3.5 Medium", {"num_layers": 24, "dual_attention_layers": True, "in_channels": 16}),
        Size(
            "3.5 Large",
            {"num_layers": 38, "dual_attention_layers": False, "in_channels": 16},
            "stabilityai/stable-diffusion-3.5-large",
        ),
        Size(
            "3 Medium",
            {"num_layers": 24, "dual_attention_layers": False, "qk_norm": False, "in_channels": 16},
            "stabilityai/stable-diffusion-3-medium-diffusers",
        ),
    ),
    presets={
        "sd35": Preset(
            GenerationSettings(steps=28, guidance=4.5, width=1024, height=1024, batch_size=1),
            parts.flow_training("sd35"),
            repeats=10,
            hints=("stable-diffusion-3", "sd3", "sd-3"),
        ),
        "sd35-turbo": Preset(
            GenerationSettings(steps=4, guidance=0.0, width=1024, height=1024, batch_size=1),
            parts.flow_training("sd35-turbo"),
            repeats=10,
            # with the whole name, because the longest word of a name decides
            hints=(
                "3.5-large-turbo",
                "3-5-large-turbo",
                "stable-diffusion-3.5-large-turbo",
                "stable-diffusion-3-5-large-turbo",
            ),
            distilled=(
                "SD 3.5 Large Turbo is distilled to four steps; a LoRA trained on it tends to lose that. Train on SD"
                " 3.5 Large (preset sd35), or let training.assistant_lora name a training adapter."
            ),
        ),
    },
)
