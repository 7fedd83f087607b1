"""Lengths of the rows of a base's weights, bare and with a LoRA's change: between them the two forms of a DoRA's
magnitudes lie (`twinloop.loras.dora`).
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from accelerate.utils import align_module_device
from peft.utils.integrations import dequantize_module_weight
from torch import Tensor


class RowNorms(NamedTuple):
    """(out,) Euclidean norms of each output's weights, in float32 on the processor: of the base's own, and with the
    change of a LoRA.
    """

    base: Tensor
    adapted: Tensor

    def for_comfyui(self, lengths: Tensor) -> Tensor:
        """(out,) as ComfyUI divides by the base's own rows."""
        return lengths.float().flatten() * self.base / _divisor(self.adapted)

    def for_peft(self, scales: Tensor) -> Tensor:
        """(out,) the way back."""
        return scales.float().flatten() * self.adapted / _divisor(self.base)


def _divisor(norms: Tensor) -> Tensor:
    return norms.clamp(min=torch.finfo(torch.float32).tiny)


def row_norms(layer: Any, device: torch.device) -> Tensor:
    """(out,) Euclidean norm of each output's weights, of the bare layer, summed on the device."""
    return _norms(_weights(layer, device))


@torch.no_grad()
def both_norms(layer: Any, down: Tensor, up: Tensor, scale: float, device: torch.device) -> RowNorms:
    """Those of the bare layer and of the layer with up @ down x scale."""
    bare = _weights(layer, device)
    change = up.to(device).float().flatten(1) @ down.to(device).float().flatten(1)
    return RowNorms(_norms(bare).cpu(), _norms(bare + change * scale).cpu())


def _weights(layer: Any, device: torch.device) -> Tensor:
    """(out, inputs x kernel)."""
    bare = getattr(layer, "get_base_layer", lambda: layer)()
    offloaded = align_module_device(bare) if bare.weight.is_meta else nullcontext()
    with offloaded:
        return torch.as_tensor(dequantize_module_weight(bare).detach().to(device).float().flatten(1))


def _norms(weights: Tensor) -> Tensor:
    return torch.as_tensor(torch.linalg.vector_norm(weights, dim=1))
