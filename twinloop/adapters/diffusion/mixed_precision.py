"""Mixed precision on a CPU while images are made."""

from __future__ import annotations

import functools
from typing import Any

import torch

from twinloop.adapters.diffusion.compute import Compute


def compute_mixed(module: torch.nn.Module, compute: Compute) -> None:
    """Make a module on the CPU compute in mixed precision and answer in float32, so that guidance and scheduler lose
    nothing.
    """
    if compute.device.type != "cpu" or compute.mixed is None:
        return
    inner = module.forward

    @functools.wraps(inner)
    def forward(*args: Any, **kwargs: Any) -> Any:
        with compute.autocast():
            made = inner(*args, **kwargs)
        return tuple(_as_float(part) for part in made) if isinstance(made, tuple) else made

    module.forward = forward


def _as_float(part: Any) -> Any:
    return [row.float() for row in part] if isinstance(part, list) else part.float()
