"""In which precision a worn adapter computes."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import nn


def precision_of(model: Any) -> torch.dtype:
    """That of the model's activations; weights may lie in less."""
    found: torch.dtype = model.dtype
    return found if found.is_floating_point and found.itemsize > 1 else torch.float32


def as_activations(model: nn.Module, adapter: str) -> None:
    """Give a LoRA's numbers the precision of the model's activations.

    PEFT does so by the weight of the layer below. Where that is packed into integers it leaves them as the file has
    them, in float16, and casts activations to that: those of a bfloat16 model may be larger than float16's largest
    number.
    """
    precision = precision_of(model)
    packed = (layer for layer in model.modules() if isinstance(layer, LoraLayer) and _is_packed(layer))
    for layer in packed:
        for name, parameter in layer.named_parameters():
            if adapter in name.split(".") and parameter.is_floating_point():
                parameter.data = parameter.data.to(precision)


def _is_packed(layer: Any) -> bool:
    return not layer.get_base_layer().weight.is_floating_point()
