"""A training adapter on the base: a LoRA or LoKr that the denoiser wears, frozen and at full strength, while another
one is learned on it.

Trained as they are, models that were distilled to a few steps lose that. A training adapter undoes the distillation:
what is learned beside it does not, and works on the distilled model once the adapter is off.

It is worn, never fused: weights of any precision stay what they are, taking it off restores the base exactly, and the
memory it needs is that of its own matrices. Its layers lie around those in training, not among them, so that each of
the two can be switched by itself; the lengths that a DoRA learns are those of the base's own weights, which the LoRA
file will meet again when images are made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from twinloop.adapters.diffusion.base_model import BaseModel
from twinloop.adapters.diffusion.loras.kronecker_layers import around, fill
from twinloop.adapters.diffusion.loras.lokr_reading import placed_parts, products_of
from twinloop.adapters.diffusion.loras.precision import precision_of
from twinloop.adapters.trainers.lora.assistant_lora_file import assistant_file
from twinloop.loras.kronecker import Kronecker
from twinloop.ports import TrainingSettings, nobody_listens

NAME = "assistant"
"""Of the adapter in PEFT's layers."""


@dataclass(frozen=True, eq=False)
class AssistantLora:
    """A training adapter for one base model. ``layers``: path of the layer in the denoiser -> its product."""

    path: Path
    layers: Mapping[str, Kronecker]

    def nbytes(self, denoiser: Any) -> int:
        """Bytes that it takes while it is worn."""
        numbers = sum(math.prod(part.shape) for product in self.layers.values() for part in product.parts.values())
        return numbers * precision_of(denoiser).itemsize

    @contextmanager
    def worn(self, denoiser: Any) -> Iterator[None]:
        """The denoiser with it, inside; to be put on after the LoRA in training and taken off before that."""
        covered: list[tuple[nn.Module, str, nn.Module]] = []
        moved: dict[int, Tensor] = {}
        precision = precision_of(denoiser)
        try:
            for path, product in self.layers.items():
                place, _, name = path.rpartition(".")
                parent = denoiser.get_submodule(place)
                layer = getattr(parent, name)
                cover = around(layer, NAME)
                fill(cover, NAME, placed_parts(product, layer, precision, moved), product.scale, product.rows)
                cover.training = False  # no lots are drawn; what it covers keeps its own mode
                covered.append((parent, name, layer))
                setattr(parent, name, cover)
            yield
        finally:
            for parent, name, layer in reversed(covered):
                setattr(parent, name, layer)


def assistant_of(
    settings: TrainingSettings, base: BaseModel, notice: Callable[[str], None] = nobody_listens
) -> AssistantLora | None:
    """The training adapter that the settings name, fitted to the base; None = none is named.

    Args:
        notice: told what of the file is left out.

    Raises:
        as `assistant_file` does. ModelFileError: layers that the denoiser does not have in that size.
    """
    if not settings.assistant_lora:
        return None
    file = assistant_file(settings, base.family)
    if file.remark:
        notice(file.remark)
    products = products_of(file.layers, file.path, base.pipeline, base.family)
    return AssistantLora(file.path, products.layers[base.family.denoiser])
