"""Weights of a file in "scaled fp8" (`families.scaled_weights`), each times its factor."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from twinloop.families.scaled_weights import factor_of, is_beside


def unscaled(path: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors of the file, without the factors; what has one as ``dtype``, rounded once, and the others as they
    are.
    """
    made: dict[str, Tensor] = {}
    with safe_open(path, "pt") as file:
        names = set(file.keys())
        for name in sorted(names):
            if is_beside(name):
                continue
            tensor = file.get_tensor(name)
            factor = factor_of(name, names)
            made[name] = (tensor.float() * file.get_tensor(factor).float()).to(dtype) if factor else tensor
    return made
