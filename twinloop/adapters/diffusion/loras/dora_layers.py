"""A DoRA at a strength: so much of the way from the base's weights to those that it makes at full strength, as ComfyUI
draws it.

PEFT itself scales the pair of matrices alone and leaves the lengths in full effect, so that strength 0 is not the base.
"""

from __future__ import annotations

from typing import Any

from peft.tuners.lora import LoraLayer
from peft.tuners.lora.dora import DoraConv2dLayer, DoraLinearLayer
from torch import Tensor, nn


class _Interpolating(DoraLinearLayer):  # type: ignore[misc]
    """What both kinds of layers share.

    Attributes:
        full: the pair's scale at strength 1.
    """

    full: float

    def forward(self, x: Tensor, *, scaling: Any, **rest: Any) -> Tensor:
        made: Tensor = super().forward(x, scaling=self.full, **rest)
        # of the scale rather than kept apart, because that is what PEFT sets, and a tensor where a compiler looks on
        return made * (scaling / self.full) if self.full else made


class _Linear(_Interpolating):
    """Of a linear layer."""


class _Conv2d(_Interpolating, DoraConv2dLayer):  # type: ignore[misc]
    """Of a convolution."""


_KINDS: dict[type, type[_Interpolating]] = {DoraLinearLayer: _Linear, DoraConv2dLayer: _Conv2d}


def interpolate(model: nn.Module, adapter: str) -> None:
    """Let the layers of a DoRA that a model wears at strength 1 follow its strength from now on."""
    for layer in model.modules():
        if not isinstance(layer, LoraLayer) or adapter not in layer.lora_magnitude_vector:
            continue
        lengths = layer.lora_magnitude_vector[adapter]
        kind = _KINDS.get(type(lengths))
        if kind is not None:
            lengths.__class__, lengths.full = kind, float(layer.scaling[adapter])
            if hasattr(lengths, "_old_forward"):  # offloading layer by layer has its own around that
                lengths._old_forward = lengths.__class__.forward.__get__(lengths)
