"""Write a diffusers SDXL folder as one file in the names of the original code, as checkpoints are shared on the web."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
OPEN_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def write_single_file(folder: Path, to: Path) -> None:
    from diffusers import StableDiffusionXLPipeline
    from safetensors.torch import save_file

    pipeline: Any = StableDiffusionXLPipeline.from_pretrained(folder, use_safetensors=True)
    layers = pipeline.unet.config.layers_per_block
    tensors = {
        f"model.diffusion_model.{_unet(key, layers)}": value for key, value in pipeline.unet.state_dict().items()
    }
    levels = len(pipeline.vae.config.block_out_channels)
    vae = original_vae(pipeline.vae.state_dict(), levels)
    tensors |= {f"first_stage_model.{name}": value for name, value in vae.items()}
    for key, value in pipeline.text_encoder.state_dict().items():
        tensors[f"conditioner.embedders.0.transformer.text_model.{key.removeprefix('text_model.')}"] = value
    tensors |= {
        f"conditioner.embedders.1.model.{key}": value for key, value in open_clip(pipeline.text_encoder_2).items()
    }
    save_file({key: value.contiguous().clone() for key, value in tensors.items()}, to)


def original_vae(state: dict[str, Any], levels: int) -> dict[str, Any]:
    """The tensors of a diffusers autoencoder in the names and shapes of the original code."""
    found = {}
    for key, value in state.items():
        name = _vae(key, levels)
        is_kernel = ".mid.attn_1." in name and name.endswith("weight") and ".norm." not in name
        found[name] = value[:, :, None, None] if is_kernel else value
    return found


def _unet(key: str, layers: int) -> str:
    for ours, theirs in UNET.items():
        if key.startswith(f"{ours}."):
            return key.replace(ours, theirs, 1)
    side, rest = key.split(".", 1)
    if side == "mid_block":
        kind, number, tail = rest.split(".", 2)
        if kind == "resnets":
            return f"middle_block.{2 * int(number)}.{_resnet(tail)}"
        return f"middle_block.1.{tail}"
    block, kind, number, tail = rest.split(".", 3)
    down = side == "down_blocks"
    place = int(block) * (layers + 1) + (int(number) + 1 if down else int(number))
    if kind == "downsamplers":
        return f"input_blocks.{int(block) * (layers + 1) + layers + 1}.0.{tail.replace('conv', 'op')}"
    if kind == "upsamplers":
        # behind the attention, which the first of the two blocks has
        return f"output_blocks.{int(block) * (layers + 1) + layers}.{2 if block == '0' else 1}.{tail}"
    name = f"{'input' if down else 'output'}_blocks.{place}"
    return f"{name}.0.{_resnet(tail)}" if kind == "resnets" else f"{name}.1.{tail}"


def _resnet(tail: str) -> str:
    name, leaf = tail.rsplit(".", 1)
    return f"{RESNET[name]}.{leaf}"


def _vae(key: str, levels: int) -> str:
    key = re.sub(r"down_blocks\.(\d+)\.resnets", r"down.\1.block", key)
    key = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", key)
    key = re.sub(r"up_blocks\.(\d+)\.resnets", lambda found: f"up.{levels - 1 - int(found[1])}.block", key)
    key = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda found: f"up.{levels - 1 - int(found[1])}.upsample", key)
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", key)
    key = (
        key.replace("mid_block.attentions.0", "mid.attn_1")
        .replace("conv_norm_out", "norm_out")
        .replace("conv_shortcut", "nin_shortcut")
    )
    for ours, theirs in (("group_norm", "norm"), ("to_out.0", "proj_out"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v")):
        key = key.replace(f"attn_1.{ours}", f"attn_1.{theirs}")
    return key


def open_clip(encoder: Any) -> dict[str, Any]:
    """The tensors of a CLIP text encoder in OpenCLIP's names."""
    import torch

    state = {key.removeprefix("text_model."): value for key, value in encoder.state_dict().items()}
    made = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "text_projection": state["text_projection.weight"].T,
    }
    for number in range(encoder.config.num_hidden_layers):
        ours, theirs = f"encoder.layers.{number}", f"transformer.resblocks.{number}"
        for leaf in ("weight", "bias"):
            for name, other in OPEN_CLIP.items():
                made[f"{theirs}.{other}.{leaf}"] = state[f"{ours}.{name}.{leaf}"]
            made[f"{theirs}.attn.in_proj_{leaf}"] = torch.cat(
                [state[f"{ours}.self_attn.{part}_proj.{leaf}"] for part in "qkv"]
            )
    return made
