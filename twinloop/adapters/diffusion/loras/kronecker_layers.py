"""LoKr layers of PEFT that never build the product: x goes through the large matrix, then through the small one.

PEFT's own layers multiply kron(w1, w2) out at every call, a matrix as large as the layer that autograd then keeps: a
step takes more than twice as long, and gigabytes more. Here a call costs a small share of the layer's own, as with a
LoRA.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from peft import LoKrConfig
from peft.tuners.lokr import LoKrModel
from peft.tuners.lokr.layer import Conv2d, Linear, LoKrLayer, make_weight_cp
from torch import Tensor, nn

PARTS = LoKrLayer.adapter_layer_names
"""``lokr_w1``, ``lokr_w1_a``...: where PEFT keeps the matrices, and what files call them."""


class _Factored(LoKrLayer):  # type: ignore[misc]
    """What both kinds of layers share.

    Attributes:
        rows: adapter -> (first, end) of the product's outputs that are this layer's, where several layers share one
            product.
    """

    rows: dict[str, tuple[int, int]]

    def install(
        self, adapter: str, parts: Mapping[str, nn.Parameter], scale: float, rows: tuple[int, int] | None
    ) -> None:
        """Take these matrices in the place of those that PEFT made; ``set_scale`` multiplies ``scale`` from now on."""
        for name in PARTS:
            held = getattr(self, name)
            if adapter in held:
                del held[adapter]
            if name in parts:
                held[adapter] = parts[name]
        self.r[adapter], self.alpha[adapter], self.scaling[adapter] = 1, scale, scale
        self.rank_dropout[adapter], self.rank_dropout_scale[adapter], self.module_dropout[adapter] = 0.0, False, 0.0
        # its own may be an earlier file's
        others = {name: window for name, window in self._windows.items() if name != adapter}
        self.rows = others if rows is None else {**others, adapter: rows}

    @property
    def _windows(self) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = getattr(self, "rows", {})
        return found

    def left(self, adapter: str) -> Tensor:
        """The small matrix, (a, c)."""
        whole: Tensor = (
            self.lokr_w1[adapter] if adapter in self.lokr_w1 else self.lokr_w1_a[adapter] @ self.lokr_w1_b[adapter]
        )
        return whole

    def right(self, adapter: str) -> Tensor:
        """The large matrix, (b, d), of a convolution (b, d, k, k) or (b, d x k x k)."""
        whole: Tensor
        if adapter in self.lokr_w2:
            whole = self.lokr_w2[adapter]
        elif adapter in self.lokr_t2:
            whole = make_weight_cp(self.lokr_t2[adapter], self.lokr_w2_a[adapter], self.lokr_w2_b[adapter])
        else:
            whole = self.lokr_w2_a[adapter] @ self.lokr_w2_b[adapter]
        return whole

    def own(self, adapter: str, whole: Tensor, axis: int) -> Tensor:
        """This layer's part of what the product makes."""
        window = self._windows.get(adapter)
        return whole if window is None else whole.narrow(axis, window[0], window[1] - window[0])

    def get_delta_weight(self, adapter_name: str, *, apply_rank_dropout: bool = False) -> Tensor:
        """The update written out, in the shape of the layer's weight."""
        product = torch.kron(self.left(adapter_name).contiguous(), self.right(adapter_name).flatten(1).contiguous())
        own = self.own(adapter_name, product, 0) * float(self.scaling[adapter_name])
        base: Any = self.get_base_layer()
        return own if isinstance(base, nn.Linear) else own.reshape(base.weight.shape)


def _like(matrix: Tensor, x: Tensor) -> Tensor:
    """In the precision of what it is multiplied with; under autocast as it is.

    Tensors without numbers know no autocast.
    """
    return matrix if not x.is_meta and torch.is_autocast_enabled(x.device.type) else matrix.to(x.dtype)


def _along(x: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """(..., c, d) through the large matrix."""
    for matrix in matrices:
        x = F.linear(x, matrix)
    return x


def _across(x: Tensor, left: Tensor) -> Tensor:
    """(..., c, d) through the small matrix."""
    return F.linear(x.transpose(-1, -2), left).transpose(-1, -2)


class FactoredLinear(_Factored, Linear):  # type: ignore[misc]
    """A linear layer with LoKrs."""

    def _get_delta_activations(self, adapter_name: str, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        left = _like(self.left(adapter_name), input)
        large = [_like(matrix, input) for matrix in self._large(adapter_name)]
        (a, c), b, d = left.shape, large[-1].shape[0], large[0].shape[1]
        if a == c == 1:  # a LoRA in this form: the number goes where there is least to multiply, and nothing is turned
            number = left.float().reshape(()) * float(self.scaling[adapter_name])
            return self.own(adapter_name, _along(F.linear(input, large[0]) * number, large[1:]), -1)
        made = input.reshape(*input.shape[:-1], c, d)
        # what goes in is kept for the way back, in `_across` turned and so once more: the order that keeps less
        made = _across(_along(made, large), left) if c * b <= (c + a) * d else _along(_across(made, left), large)
        return self.own(adapter_name, made.flatten(-2), -1) * float(self.scaling[adapter_name])

    def _large(self, adapter: str) -> tuple[Tensor, ...]:
        """The large matrix, or the two that make it, in the order in which they act."""
        return (
            (self.lokr_w2[adapter],) if adapter in self.lokr_w2 else (self.lokr_w2_b[adapter], self.lokr_w2_a[adapter])
        )


class FactoredConv2d(_Factored, Conv2d):  # type: ignore[misc]
    """A convolution with LoKrs; one in groups multiplies the product out, as PEFT does."""

    def _get_delta_activations(self, adapter_name: str, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        base: Any = self.get_base_layer()
        if base.groups != 1:
            multiplied: Tensor = super()._get_delta_activations(adapter_name, input, *args, **kwargs)
            return multiplied
        left = _like(self.left(adapter_name), input)
        right = _like(self.right(adapter_name), input).reshape(-1, base.in_channels // left.shape[1], *base.kernel_size)
        grouped = input.reshape(-1, right.shape[1], *input.shape[2:])
        through = F.conv2d(grouped, right, stride=base.stride, padding=base.padding, dilation=base.dilation)
        apart = through.reshape(len(input), left.shape[1], -1)
        made = torch.matmul(left, apart).reshape(len(input), -1, *through.shape[2:])
        return self.own(adapter_name, made, 1) * float(self.scaling[adapter_name])


class FactoredModel(LoKrModel):  # type: ignore[misc]
    """PEFT's LoKr with these layers."""

    layers_mapping: ClassVar[dict[type, type]] = {nn.Conv2d: FactoredConv2d, nn.Linear: FactoredLinear}


def add_lokr(model: Any, config: LoKrConfig, adapter: str) -> None:
    """Give a diffusers model LoKr layers to train, as its ``add_adapter`` does with PEFT's own."""
    FactoredModel(model, config, adapter)
    model._hf_peft_config_loaded = True
    model.set_adapter(adapter)


def wear_product(
    model: Any, path: str, adapter: str, parts: Mapping[str, Tensor], scale: float, rows: tuple[int, int] | None
) -> None:
    """Let the layer at ``path`` wear a product beside whatever it wears; ``parts`` bear PEFT's
    names and stay frozen.
    """
    place, _, name = path.rpartition(".")
    parent = model.get_submodule(place)
    layer: Any = getattr(parent, name)
    if not isinstance(layer, _Factored):
        layer = around(layer, adapter)
        setattr(parent, name, layer)
    fill(layer, adapter, parts, scale, rows)


def around(layer: Any, adapter: str) -> _Factored:
    """A layer that wears a product around this one, which may wear others; to be filled."""
    bare = getattr(layer, "get_base_layer", lambda: layer)()
    kind = FactoredLinear if isinstance(bare, nn.Linear) else FactoredConv2d
    return kind(layer, adapter, LoKrConfig(r=1, alpha=1, inference_mode=True), r=1, alpha=1)


def fill(
    layer: _Factored, adapter: str, parts: Mapping[str, Tensor], scale: float, rows: tuple[int, int] | None
) -> None:
    """Give a layer the matrices of a product, frozen; ``parts`` bear PEFT's names."""
    frozen = {part: nn.Parameter(tensor, requires_grad=False) for part, tensor in parts.items()}
    layer.install(adapter, frozen, scale, rows)
