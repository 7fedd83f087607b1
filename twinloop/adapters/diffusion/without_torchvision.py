"""Models of diffusers that call torchvision for what PyTorch does itself, where torchvision is not installed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from torch import Tensor
from torch.nn.functional import interpolate

_NAME = "transforms"
_COSMOS = "CosmosTransformer3DModel"
"""It brings its padding mask to the size of the latents."""


def complete(model: type) -> None:
    """Give a model's module the one function that it wants of torchvision, where it could not import that."""
    module: Any = sys.modules[model.__module__]
    if model.__name__ == _COSMOS and not hasattr(module, _NAME):
        nearest = SimpleNamespace(NEAREST="nearest")
        setattr(module, _NAME, SimpleNamespace(functional=SimpleNamespace(resize=_resize), InterpolationMode=nearest))


def _resize(picture: Tensor, size: Sequence[int], interpolation: str) -> Tensor:
    """(n, c, h, w), as torchvision does it for tensors."""
    return interpolate(picture, size=tuple(size), mode=interpolation)
