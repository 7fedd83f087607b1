"""How large quantised weights are: what they take now, and what they would take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from twinloop.adapters.diffusion.quantised.model import quantisable
from twinloop.domain.quantised import Quantization, quantised_bytes


def real_bytes(model: nn.Module) -> int:
    """Bytes that the weights of a model take, those of quantised ones too; tensors that share memory count once."""
    return sum(_bytes((*model.parameters(), *model.buffers())).values())


def bytes_if(model: nn.Module, how: Quantization, dtype: torch.dtype) -> int:
    """Bytes that the weights of a model would take if they were quantised so.

    Args:
        dtype: of weights inside of blocks that stay as they are.
    """
    chosen = {name for name, _ in quantisable(model, how)}
    total = real_bytes(model)
    for name, layer in quantisable(model, "int8"):
        rows, columns = layer.out_features, layer.in_features
        would = quantised_bytes(rows, columns, how) if name in chosen else rows * columns * dtype.itemsize
        total += would - sum(_bytes([layer.weight]).values())
    return total


def plain_shape(weight: Tensor) -> tuple[int, ...]:
    """The shape of a layer's weight, whether it is packed or not."""
    state = getattr(weight, "quant_state", None)
    return tuple(getattr(weight, "quant_shape", weight.shape) if state is None else state.shape)


def _bytes(tensors: Any) -> dict[tuple[int, int], int]:
    """Memory -> bytes of it."""
    found = {}
    for tensor in tensors:
        for part in _parts(tensor):
            found[int(part.untyped_storage()._cdata), int(part.storage_offset())] = part.nbytes
    return found


def _parts(tensor: Any) -> Iterator[Tensor]:
    """The plain tensors that one consists of."""
    if hasattr(tensor, "__tensor_flatten__"):
        for name in tensor.__tensor_flatten__()[0]:
            yield from _parts(getattr(tensor, name))
        return
    yield tensor
    state = getattr(tensor, "quant_state", None)
    if state is not None:
        yield from (state.absmax, state.code, state.offset, state.state2.absmax, state.state2.code)
