"""Layers of a denoiser that are called by their path alone, as PEFT and diffusers save a model by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from twinloop.errors import ModelFileError
from twinloop.loras.tensors import AGAIN

T = TypeVar("T")
PEFT = "base_model.model."
"""What PEFT puts before every layer."""
_UNET = re.compile(r"(down_blocks|mid_block|up_blocks)\.")
_BARE = re.compile(
    r"((single_)?transformer_blocks|(double|single|joint)_blocks|blocks|layers|(noise|context)_refiner|down_blocks|up_blocks)\.\d+\.|mid_block\."
    r"|llm_adapter\.blocks\.\d+\."  # what reads prompts for Anima, part of its denoiser in the makers' file
    # Krea 2's beside its blocks, in diffusers' names and in the makers'
    r"|(text_fusion|txtfusion)\.((layerwise|refiner)_blocks\.\d+|projector)(\.|$)"
    r"|(img_in|first|time_mod_proj|(time_embed|txt_in)\.linear_\d|(tmlp|txtmlp|tproj)\.\d|(final_layer|last)\.linear)(\.|$)"
)


def is_bare(name: str) -> bool:
    """Whether a name is that of a layer without the ``unet.`` or ``transformer.`` before it."""
    return _BARE.match(name.removeprefix(PEFT)) is not None


def with_components(layers: Mapping[str, T]) -> dict[str, T]:
    """Bare layers under the denoiser's name; the others as they are.

    Raises:
        ModelFileError: a layer is there with and without it.
    """
    named: dict[str, T] = {}
    for name, layer in layers.items():
        path = name.removeprefix(PEFT)
        whole = f"{'unet' if _UNET.match(path) else 'transformer'}.{path}" if is_bare(name) else name
        if whole in named:
            raise ModelFileError(f"the layer {path[:80]!r} is there under two names. {AGAIN}")
        named[whole] = layer
    return named
