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
    r"((single_)?transformer_blocks|(double|single|joint)_blocks|layers|(noise|context)_refiner|down_blocks|up_blocks)\.\d+\.|mid_block\."
)


def is_bare(name: str) -> bool:
    """Whether a layer's name begins with a block instead of ``unet.`` or ``transformer.``."""
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
