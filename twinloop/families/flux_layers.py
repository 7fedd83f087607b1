"""LoRAs for the transformers of the two FLUX generations and of Chroma, which share most names of layers."""

from __future__ import annotations

from typing import NamedTuple

from twinloop.families.lora_layers import LoraLayers, Sized

_OF_FLUX_2 = (
    r"to_qkv_mlp_proj|ff(_context)?\.linear_(in|out)|single_transformer_blocks\.\d+\.attn\.to_out|_stream_modulation"
)
_DOUBLE_BLOCKS, _WIDTH = 19, 3072
"""Of FLUX.1."""
_NOT_OF_CHROMA = (
    r"(_mod|\.modulation)\.lin$|\.norm(1|1_context)?\.linear$|(^|\.)(time|vector|guidance)_in\.|time_text_embed"
)
"""What tells the parts of a FLUX.1 the time and the text's summary: Chroma has none of it."""
_OF_DIFFSYNTH = (
    r"blocks\.\d+\.(attn\.[ab]_to_(qkv|out)|ff_[ab]\.\d|norm1_[ab]\.linear)$"
    r"|single_blocks\.\d+\.(to_qkv_mlp|norm\.linear)$"
)
"""DiffSynth-Studio's names of FLUX.1; FLUX.2 and others have diffusers' or the makers' names there."""
_MLP_IN = (".ff.net.0.proj", ".ff_context.net.0.proj")
_MLP_OUT = (".ff.net.2", ".ff_context.net.2")


class FluxLayers(NamedTuple):
    """``second``: for FLUX.2. ``width``: of that model, 0 = not told. ``sure``: the layers themselves say so; without
    those that tell the time, Chroma's are the same as FLUX.1's.
    """

    second: bool
    width: int = 0
    sure: bool = True


def flux_layers(layers: LoraLayers) -> FluxLayers | None:
    """What the layers tell; None = nothing of a FLUX."""
    if layers.begin(_OF_DIFFSYNTH):
        return FluxLayers(False)
    if layers.begin(r"(double|single)_blocks\."):
        return _of_original(layers)
    if layers.begin(r"transformer_blocks\.\d+\.(img|txt)_(mlp|mod)\."):
        return None  # Qwen-Image, whose other layers have the same names
    if layers.hold(_OF_FLUX_2):
        seen = layers.first(".attn.to_q", ".attn.add_q_proj", "to_qkv_mlp_proj", "linear_in")
        return FluxLayers(True, 0 if seen is None else seen.inputs, seen is not None)
    if layers.begin(r"single_transformer_blocks\.") or _has_flux_1_mlps(layers):
        return _first(layers)
    return None


def _first(layers: LoraLayers) -> FluxLayers:
    return FluxLayers(False, sure=layers.hold(_NOT_OF_CHROMA))


def _of_original(layers: LoraLayers) -> FluxLayers:
    """FLUX.2 gates its MLP, which makes it half as high again; FLUX.1 modulates every block."""
    if layers.first("_mod.lin", ".modulation.lin") is not None:
        return FluxLayers(False)
    for path, layer in layers.denoiser.items():
        if path.endswith(".linear1"):
            return _gated(layers, layer, layer.outputs > 8 * layer.inputs)
        if path.endswith("_mlp.0"):
            return _gated(layers, layer, layer.outputs > 5 * layer.inputs)
    return FluxLayers(False, sure=False)


def _gated(layers: LoraLayers, layer: Sized, gated: bool) -> FluxLayers:
    return FluxLayers(True, layer.inputs) if gated else _first(layers)


def _has_flux_1_mlps(layers: LoraLayers) -> bool:
    """Of transformers of this width with joint attention only FLUX.1 calls its MLPs so: Qwen-Image has ``img_mlp``,
    FLUX.2 ``linear_in``.
    """
    into = {layer.inputs for path, layer in layers.denoiser.items() if path.endswith(_MLP_IN)}
    out = {layer.outputs for path, layer in layers.denoiser.items() if path.endswith(_MLP_OUT)}
    few = 0 < layers.blocks("transformer_blocks") <= _DOUBLE_BLOCKS
    return (into | out) == {_WIDTH} and few and not layers.hold(r"\.attn1\.")
