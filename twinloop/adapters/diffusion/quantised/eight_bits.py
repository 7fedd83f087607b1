"""int8 and fp8: torchao's tensors, one scale per row; products are computed in the precision of the activations."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, quantize_

from twinloop.adapters.diffusion.quantised.product import multiply, plain_product


class EightBits(nn.Linear):
    """A linear layer whose weight is a torchao tensor, quantised where it lies."""

    weight: Any

    def __init__(self, layer: nn.Linear, how: str) -> None:
        super().__init__(layer.in_features, layer.out_features, bias=False, device="meta")
        kind = Int8WeightOnlyConfig if how == "int8" else Float8WeightOnlyConfig
        quantize_(layer, kind(set_inductor_config=False))  # else it changes settings of the whole process
        self.weight = nn.Parameter(layer.weight.detach(), requires_grad=False)
        self.bias = layer.bias

    def forward(self, input: Tensor) -> Tensor:
        return multiply(input, self)

    def multiplied(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out), in the precision of ``x``."""
        # the library multiplies by bare integers and scales afterwards, which float16 cannot hold
        if x.dtype == torch.float16:
            return plain_product(x, self)
        return F.linear(x, self.weight, self.bias).to(x.dtype)

    def unpacked(self, weight: Any, dtype: torch.dtype) -> Tensor:
        """(out, in) this layer's weight, or a copy of it on another device, as plain numbers."""
        made: Tensor = weight.dequantize()
        return made.to(dtype)
