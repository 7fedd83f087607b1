"""Qwen-Image."""

from __future__ import annotations

from typing import Any

from twinloop.families import parts
from twinloop.families.base import Family, Guidance, Preset, SingleFile
from twinloop.families.lora_layers import Fit, LoraLayers
from twinloop.families.lora_names import LoraNames
from twinloop.families.losses import FlowLoss
from twinloop.families.sizes import Layout, Size
from twinloop.ports import GenerationSettings

SETTINGS = {"num_layers": 60, "in_channels": 64, "use_additional_t_cond": False}
"""Of all models of this kind but Qwen-Image-Layered."""
WORDS = 512
"""Tokens of a prompt that the pipeline uses."""
_WIDTH, _FLUX_BLOCKS = 3072, 19
"""Of the denoiser; FLUX.1 has blocks of the same width and names, and fewer of them."""


def encode(pipeline: Any, text: str, device: Any) -> dict[str, Any]:
    """As many words as the text has, all of them to be seen; texts of a batch are filled up with words that are not."""
    # the pipeline writes every text into a form of its own, so that an empty one is a prompt too
    words, _ = pipeline.encode_prompt(prompt=text, device=device, num_images_per_prompt=1, max_sequence_length=WORDS)
    return {"prompt_embeds": words, "prompt_embeds_mask": words.new_ones(1, words.shape[1]).long()}


def denoise(model: Any, latents: Any, times: Any, words: Any, sizes: Any) -> Any:
    """(n, 16, h, w) latents -> their velocity, of the same shape; the denoiser takes tokens of two by two cells."""
    n, _, height, width = latents.shape
    seen = words["prompt_embeds_mask"]
    made = model(
        hidden_states=parts.packed(latents),
        timestep=times / 1000,
        guidance=None,
        encoder_hidden_states=words["prompt_embeds"],
        encoder_hidden_states_mask=None if bool(seen.all()) else seen,
        img_shapes=[[(1, height // 2, width // 2)]] * n,
        return_dict=False,
    )[0]
    return parts.unpacked(made, height, width)


def fit(layers: LoraLayers) -> Fit:
    """By the names of its MLPs and modulations, or by its width and the number of its blocks."""
    if layers.begin(r"transformer_blocks\.\d+\.(img|txt)_(mlp|mod)\."):
        return Fit.YES
    attention = layers.first(".attn.to_q", ".attn.add_q_proj")
    wide = attention is not None and attention.inputs == _WIDTH
    return Fit.YES if wide and layers.blocks("transformer_blocks") > _FLUX_BLOCKS else Fit.OPEN


FAMILY = Family(
    name="qwen-image",
    pipeline="QwenImagePipeline",
    image_pipeline="QwenImageImg2ImgPipeline",
    reference="Qwen/Qwen-Image",
    download="58 GB",
    targets=(
        *parts.JOINT_ATTENTION,
        "img_mlp.net.0.proj",
        "img_mlp.net.2",
        "txt_mlp.net.0.proj",
        "txt_mlp.net.2",
    ),
    architecture="Qwen-Image",
    base_version="qwen_image",
    licence="Qwen-Image: Apache-2.0.",
    encode=encode,
    denoise=denoise,
    to_latents=parts.whitened,
    to_raw=parts.frame_of,
    loss=FlowLoss(),
    guidance=Guidance(argument="true_cfg_scale"),
    joining="pad",
    frames=True,
    overflows_in_float16=True,  # ComfyUI computes it in bfloat16 or float32 only
    lora_names=LoraNames(prefix="diffusion_model.", dots=True, form="a_b", fit=fit),
    single_file=SingleFile(
        whole=False,
        model="QwenImageTransformer2DModel",
        marks=(("transformer_blocks.0.img_mod.1.weight", "txt_norm.weight"),),
        layout=Layout(
            stacks={"num_layers": ("transformer_blocks",)},
            inputs={"in_channels": ("img_in.weight",)},
            switches={"use_additional_t_cond": ("time_text_embed.addition_t_embedding.weight",)},
            signs={"zero_cond_t": ("__index_timestep_zero__",)},  # ComfyUI's
        ),
    ),
    sizes=(Size("Qwen-Image", SETTINGS),),
    presets={
        "qwen-image": Preset(
            GenerationSettings(steps=50, guidance=4.0, width=1024, height=1024, batch_size=1),
            parts.flow_training("qwen-image", rank=32, alpha=32.0),
            repeats=10,
            hints=("qwen-image", "qwen"),
        ),
    },
)
