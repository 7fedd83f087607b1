"""nf4: bitsandbytes' 4-bit weights, as QLoRA trains on them."""

from __future__ import annotations

from typing import Any

from bitsandbytes import matmul_4bit
from bitsandbytes.nn import Linear4bit, Params4bit
from torch import Tensor, nn

from twinloop.adapters.diffusion.quantised.product import as_autocast


class FourBits(Linear4bit):  # type: ignore[misc]
    """A linear layer with a 4-bit weight, quantised where it lies.

    The library's own layer changes its bias on the first call, and on some processors its weight to a layout through
    which no gradient passes any more; this one stays as it is.
    """

    weight: Any

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer.in_features, layer.out_features, bias=False, quant_type="nf4", device="meta")
        weight = layer.weight.detach()
        self.weight = Params4bit(
            weight, requires_grad=False, quant_type="nf4", compress_statistics=True, module=self
        ).to(weight.device)
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        x = as_autocast(x)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        made: Tensor = matmul_4bit(x, self.weight, quant_state=self.weight.quant_state, bias=bias)
        return made
