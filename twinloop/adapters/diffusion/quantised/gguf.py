"""Weights of ``.gguf`` files, as diffusers reads them: packed as they lie in the file."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.quantizers.gguf.utils import GGUFLinear, GGUFParameter, dequantize_gguf_tensor
from torch import Tensor, nn

from twinloop.adapters.diffusion.quantised.product import multiply, plain_product


class FromGguf(nn.Linear):
    """A linear layer with a weight of such a file; diffusers' own keeps the unpacked weight until the way back."""

    weight: Any

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer.in_features, layer.out_features, bias=False, device="meta")
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, input: Tensor) -> Tensor:
        return multiply(input, self)

    def multiplied(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out), in the precision of ``x``."""
        return plain_product(x, self)

    def unpacked(self, weight: Any, dtype: torch.dtype) -> Tensor:
        """(out, in) this layer's weight, or a copy of it on another device, as plain numbers."""
        made: Tensor = dequantize_gguf_tensor(weight)
        return made.to(dtype)


def take_over(model: nn.Module) -> None:
    """Replace diffusers' layers of a loaded file by those here."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, GGUFLinear) and isinstance(layer.weight, GGUFParameter):
            model.set_submodule(name, FromGguf(layer).requires_grad_(False))
