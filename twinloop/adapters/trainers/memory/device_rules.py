"""How a device computes, for a dry run on PyTorch's ``meta`` device, which has no rules of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from twinloop.adapters.diffusion.compute import Compute
from twinloop.adapters.trainers.memory.saved_activations import id_of

_PRODUCTS = (
    F.linear,
    F.conv2d,
    F.conv3d,
    torch.conv2d,
    torch.matmul,
    torch.bmm,
    torch.baddbmm,
    torch.einsum,
    Tensor.matmul,
    Tensor.__matmul__,
)
_EXACT_ON_GPU = (F.layer_norm, F.rms_norm, F.group_norm, F.softmax, torch.softmax, Tensor.softmax)
"""What CUDA's autocast computes in float32; a CPU's leaves these as they come."""


class AsOnDevice(TorchFunctionMode):
    """Precisions as autocast chooses them on the device, and attention that saves what fused kernels save.

    Args:
        quantised: storages of quantised weights.

    Attributes:
        attention: operations of all attention so far. copies: storages of trained weights in another precision, which
            autocast makes once and keeps for the whole pass.
    """

    def __init__(self, compute: Compute, quantised: Mapping[int, int] = MappingProxyType({})) -> None:
        super().__init__()
        self._quantised = quantised
        self._mixed = compute.mixed
        self._gpu = compute.device.type == "cuda"
        self.attention = 0
        self.copies: set[int] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func is F.scaled_dot_product_attention:
            return self._attend(*self._cast(args, self._mixed), **self._cast_named(named, self._mixed))
        if func is F.linear and id_of(args[1]) in self._quantised:
            multiply: Any = _QuantisedLinear.apply
            return multiply(*self._cast((*args, *named.values()), self._mixed))
        if self._mixed is not None and func in _PRODUCTS:
            return func(*self._cast(args, self._mixed), **self._cast_named(named, self._mixed))
        if self._mixed is not None and self._gpu and func in _EXACT_ON_GPU:
            return func(*self._cast(args, torch.float32), **self._cast_named(named, torch.float32))
        return func(*args, **named)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
        queries = query.numel() // query.shape[-1]
        self.attention += 2 * queries * key.shape[-2] * (query.shape[-1] + value.shape[-1])
        attend: Any = _FusedAttention.apply
        made: Tensor = attend(query, key, value)
        return made

    def _cast(self, values: Sequence[Any], dtype: torch.dtype | None) -> tuple[Any, ...]:
        return tuple(self._as_dtype(value, dtype) for value in values)

    def _cast_named(self, values: Mapping[str, Any], dtype: torch.dtype | None) -> dict[str, Any]:
        return {name: self._as_dtype(value, dtype) for name, value in values.items()}

    def _as_dtype(self, value: Any, dtype: torch.dtype | None) -> Any:
        """Floating-point tensors in ``dtype``; anything else, and everything where it is None, as it is."""
        if dtype is None or not isinstance(value, Tensor) or not value.is_floating_point() or value.dtype == dtype:
            return value
        made = value.to(dtype)
        if value.is_leaf and value.requires_grad:
            self.copies.add(id_of(made))
        return made


class _QuantisedLinear(torch.autograd.Function):
    """Saves nothing: the frozen weight is dequantised again in the backward pass."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.linear(x, weight, bias)


class _FusedAttention(torch.autograd.Function):
    """Saves query, key, value, result and one number per query, as fused attention does."""

    @staticmethod
    def forward(context: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        made = query.new_empty(*query.shape[:-1], value.shape[-1])
        context.save_for_backward(query, key, value, made, query.new_empty(query.shape[:-1], dtype=torch.float32))
        return made
