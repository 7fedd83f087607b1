"""A product with a frozen, quantised matrix, whose gradient needs no unpacked copy of it."""

from __future__ import annotations

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Quantised(Protocol):
    """A linear layer with a quantised weight."""

    weight: Any
    bias: Any

    def unpacked(self, weight: Any, dtype: torch.dtype) -> Tensor:
        """(out, in) this layer's weight, or a copy of it on another device, as plain numbers."""
        ...

    def multiplied(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out), in the precision of ``x``; gradients need not pass."""
        ...


class _FrozenProduct(torch.autograd.Function):
    """Left to autograd, every layer would keep its unpacked weight until the way back: the memory that quantising
    saved.

    The packed weight is that of the way there: the layer's own may lie elsewhere by then (`block_swap`).
    """

    @staticmethod
    def forward(context: Any, x: Tensor, layer: Quantised) -> Tensor:
        context.layer = layer
        context.save_for_backward(layer.weight)
        return layer.multiplied(x)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        (weight,) = context.saved_tensors
        return gradient @ context.layer.unpacked(weight, gradient.dtype), None


def multiply(x: Tensor, layer: Quantised) -> Tensor:
    """(..., in) -> (..., out), in the precision that ``torch.nn.Linear`` would answer in, autocast included."""
    x = as_autocast(x)
    if not (torch.is_grad_enabled() and x.requires_grad):
        return layer.multiplied(x)
    apply: Any = _FrozenProduct.apply
    made: Tensor = apply(x, layer)
    return made


def as_autocast(x: Tensor) -> Tensor:
    """In the precision in which ``torch.nn.Linear`` would take it."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x


def plain_product(x: Tensor, layer: Quantised) -> Tensor:
    """`Quantised.multiplied` of layers whose library has no product of its own."""
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return F.linear(x, layer.unpacked(layer.weight, x.dtype), bias)
