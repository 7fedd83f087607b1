"""Single files whose weights have 8 bits and are meant times a factor that lies beside each: "scaled fp8", as ComfyUI
reads it.

Read without their factors they are weights of another size, and nothing fails. Such a file names a factor
``<layer>.scale_weight``, or ``<layer>.weight_scale`` where ``<layer>.comfy_quant`` says how the layer was packed. The
second form also serves formats of other bits, which are not read here.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path

from twinloop.families.single_files import Header, read_header

_FACTORS = (".scale_weight", ".weight_scale")
_FORM = ".comfy_quant"
_INPUTS = (".scale_input", ".input_scale")
"""Factors of what comes into a layer, for products in 8 bits."""
_MARK = "scaled_fp8"
_FP8 = ("F8_E4M3", "F8_E5M2")


def is_scaled(header: Header) -> bool:
    """Whether factors lie beside the weights, or what says of how many bits they are."""
    return any(name.endswith((*_FACTORS, _FORM)) for name in header.shapes)


def is_scaled_file(path: Path) -> bool:
    """The same of a safetensors file; False for what is none."""
    try:
        return path.is_file() and is_scaled(read_header(path))
    except (OSError, ValueError):
        return False


def can_be_unscaled(header: Header) -> bool:
    """Whether each of these weights is of 8 bits as floating-point numbers, with one factor for all of it or one for
    each of its rows.
    """
    layers = {name.rpartition(".")[0] for name in header.shapes if name.endswith((*_FACTORS, _FORM))}
    return all(_is_plain(header, f"{layer}.weight") for layer in layers)


def factor_of(weight: str, names: Collection[str]) -> str:
    """The factor of a tensor among those of these names; "" = it has none."""
    layer = weight.removesuffix(".weight")
    return next((layer + end for end in _FACTORS if weight.endswith(".weight") and layer + end in names), "")


def is_beside(name: str) -> bool:
    """Whether a tensor is no weight, but says how to read one."""
    return name.endswith((*_FACTORS, *_INPUTS, _FORM)) or name.rpartition(".")[2] == _MARK


def _is_plain(header: Header, weight: str) -> bool:
    factor = header.shapes.get(factor_of(weight, header.shapes))
    rows = header.shapes.get(weight, ())[:1]
    return header.types.get(weight) in _FP8 and factor is not None and (math.prod(factor) == 1 or factor == (*rows, 1))
