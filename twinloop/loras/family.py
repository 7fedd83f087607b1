"""Which family of base models a LoRA was trained for, told by the names and sizes of its layers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from twinloop.loras.lora import Update

_CONTEXT = {768: "sd15", 1024: "sd2", 2048: "sdxl"}
"""Width of the words that a UNet's cross-attention sees -> family."""
_FLUX_DOUBLE_BLOCKS = 19
_SD3_WIDTHS = (1536, 2432)
_KLEIN_WIDTHS = (3072, 4096)
_ARCHITECTURES = (
    ("stable-diffusion-xl", "sdxl"),
    ("stable-diffusion-v1", "sd15"),
    ("stable-diffusion-v2", "sd2"),
    ("stable-diffusion-3", "sd35"),
    ("flux.2-klein", "flux2-klein"),
    ("flux-2", "flux2"),
    ("flux2", "flux2"),
    ("flux.2", "flux2"),
    ("flux", "flux"),
    ("qwen-image", "qwen-image"),
    ("z-image", "zimage"),
    ("zimage", "zimage"),
)


def family_of(denoiser: Mapping[str, Update], encoders: Iterable[str], texts: Mapping[str, str]) -> str:
    """The family by the denoiser's layers (original or diffusers' paths), by its header where these fit several; "" =
    cannot be told.

    Args:
        encoders: names of the text encoders that the file adapts: ``text_encoder``, ``text_encoder_2``,
            ``text_encoder_3``.
    """
    paths = list(denoiser)
    said = next(
        (family for word, family in _ARCHITECTURES if word in texts.get("modelspec.architecture", "").lower()), ""
    )
    if not paths:
        return said
    if any(re.match(r"(down|up|input|output)_blocks\.|mid_block\.|middle_block\.", path) for path in paths):
        return _unet(denoiser, "text_encoder_2" in set(encoders), said)
    if any(path.startswith("joint_blocks.") for path in paths):
        return "sd35"
    if any(path.startswith(("double_blocks.", "single_blocks.")) for path in paths):
        return _flux_original(denoiser, said)
    if any(re.match(r"(layers|noise_refiner|context_refiner)\.\d+\.", path) for path in paths):
        return "zimage"
    return _transformer(denoiser, said)


def _unet(layers: Mapping[str, Update], second_encoder: bool, said: str) -> str:
    for path, layer in layers.items():
        if path.endswith(("attn2.to_k", "attn2.to_v")):
            return _CONTEXT.get(layer.inputs, "")
    deep = any(re.search(r"transformer_blocks\.[1-9]", path) for path in layers)
    return "sdxl" if deep or second_encoder else said


def _flux_original(layers: Mapping[str, Update], said: str) -> str:
    """FLUX.2 gates its MLP, which makes it half as high again; FLUX.1 modulates every block."""
    if any(path.endswith(("_mod.lin", ".modulation.lin")) for path in layers):
        return "flux"
    for path, layer in layers.items():
        times = layer.outputs / layer.inputs
        if path.endswith(".linear1"):
            return _flux2(layer) if times > 8 else "flux"
        if path.endswith("_mlp.0"):
            return _flux2(layer) if times > 5 else "flux"
    return said or "flux"


def _flux2(layer: Update) -> str:
    """FLUX.2 [klein] is narrower than [dev]."""
    return "flux2-klein" if layer.inputs in _KLEIN_WIDTHS else "flux2"


def _transformer(layers: Mapping[str, Update], said: str) -> str:
    names = "\n".join(layers)
    if re.search(r"(img|txt)_(mlp|mod)\.", names):
        return "qwen-image"
    if re.search(
        r"to_qkv_mlp_proj|ff(_context)?\.linear_(in|out)|single_transformer_blocks\.\d+\.attn\.to_out|_stream_modulation",
        names,
    ):
        return next((_flux2(layer) for path, layer in layers.items() if _sees_the_width(path)), said or "flux2")
    if "single_transformer_blocks." in names:
        return "flux"
    if _is_flux_double(layers, names):
        return "flux"
    joint = [layer.inputs for path, layer in layers.items() if path.endswith((".attn.to_q", ".attn.add_q_proj"))]
    if joint and joint[0] in _SD3_WIDTHS:
        return "sd35"
    blocks = [int(number) for number in re.findall(r"^transformer_blocks\.(\d+)\.attn\.", names, re.MULTILINE)]
    if joint and joint[0] == 3072 and blocks and max(blocks) >= _FLUX_DOUBLE_BLOCKS:
        return "qwen-image"
    return said


def _is_flux_double(layers: Mapping[str, Update], names: str) -> bool:
    """Of 3,072 wide transformers with joint attention only FLUX.1 calls its MLPs so: Qwen-Image has ``img_mlp``, FLUX.2
    ``linear_in``.
    """
    into = {layer.inputs for path, layer in layers.items() if re.search(r"\.ff(_context)?\.net\.0\.proj$", path)}
    out = {layer.outputs for path, layer in layers.items() if re.search(r"\.ff(_context)?\.net\.2$", path)}
    numbers = [int(number) for number in re.findall(r"^transformer_blocks\.(\d+)\.", names, re.MULTILINE)]
    few = max(numbers, default=_FLUX_DOUBLE_BLOCKS) < _FLUX_DOUBLE_BLOCKS
    return (into | out) == {3072} and few and ".attn1." not in names


def _sees_the_width(path: str) -> bool:
    return path.endswith((".attn.to_q", ".attn.add_q_proj", "to_qkv_mlp_proj", "linear_in"))
