"""What a training puts on a base model, so that the training itself and the forecast of its memory put the same on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from twinloop.adapters.trainers.lokr import add_for_training
from twinloop.errors import InputError
from twinloop.families.base import Family
from twinloop.ports import TrainingSettings

ADAPTER = "in_training"
"""Not "training": PEFT refuses names that modules already use."""

ENCODER_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
"""Ends of the names of CLIP's layers that a LoRA adapts: those that kohya's does."""


@dataclass(frozen=True)
class AdapterPlan:
    """A LoRA, DoRA or LoKr of one size on some kinds of layers.

    Attributes:
        targets: ends of the names of the denoiser's layers that it adapts. blocks: of which parts of it, () = of all.
        only, skip: texts that a layer's name must hold one of, and may hold none of. alpha: its outputs count alpha / rank.
        dora: the lengths of the rows of weights are learned beside their directions.
        text_encoder: a LoRA or DoRA goes on the family's CLIP text encoders, too.
        lokr: the factor of a LoKr, -1 = automatic; 0 = no LoKr.
    """

    targets: tuple[str, ...]
    rank: int
    alpha: float
    dora: bool = False
    text_encoder: bool = False
    lokr: int = 0
    blocks: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: TrainingSettings, family: Family) -> AdapterPlan:
        """The one that these settings ask for on a model of the family."""
        return cls(
            family.targets,
            settings.rank,
            settings.alpha,
            settings.adapter == "dora",
            settings.text_encoder,
            settings.lokr,
            family.blocks,
            settings.only_layers,
            settings.skip_layers,
        )

    def put_on(self, denoiser: Any) -> None:
        """Give a diffusers model the layers to train, without numbers in them yet.

        Raises:
            InputError: it has none of the target layers, or none of them is wanted.
        """
        there = adapted_layers(denoiser, self.targets, self.blocks)
        if not there:
            raise InputError(
                f"This base model has no layers named {', '.join(self.targets)}. Choose the preset that fits base_model."
            )
        layers = [name for name in there if self._wants(name)]
        if not layers:
            raise InputError(
                f"training.only_layers and skip_layers leave none of the {len(there)} layers that a LoRA adapts here, such as {there[0]} and {there[-1]}."
            )
        if self.lokr:
            add_for_training(denoiser, layers, self.rank, self.alpha, self.lokr, ADAPTER)
        else:
            denoiser.add_adapter(self._lora(layers), adapter_name=ADAPTER)

    def _wants(self, layer: str) -> bool:
        wanted = not self.only or any(text in layer for text in self.only)
        return wanted and not any(text in layer for text in self.skip)

    def put_on_encoder(self, encoder: nn.Module) -> None:
        """As `put_on`, for a CLIP text encoder."""
        inject_adapter_in_model(self._lora(encoder_layers(encoder)), encoder, ADAPTER)

    def _lora(self, layers: list[str]) -> LoraConfig:
        return LoraConfig(
            r=self.rank, lora_alpha=self.alpha, target_modules=layers, init_lora_weights=False, use_dora=self.dora
        )


def adapted_layers(model: nn.Module, targets: Sequence[str], blocks: Sequence[str] = ()) -> list[str]:
    """Full names of the layers inside of blocks whose names end like one of the targets; a layer outside of all blocks is none of them.

    Args:
        blocks: first parts of their names, () = any.
    """
    ends = tuple(f".{target}" for target in targets)
    return [
        name
        for name, layer in model.named_modules()
        if name.endswith(ends)
        and isinstance(layer, nn.Linear | nn.Conv2d)
        and (not blocks or name.split(".", 1)[0] in blocks)
    ]


def encoder_layers(encoder: nn.Module) -> list[str]:
    """Full names of the layers of a CLIP text encoder that a LoRA adapts."""
    ends = tuple(f".{target}" for target in ENCODER_TARGETS)
    return [name for name, layer in encoder.named_modules() if name.endswith(ends) and isinstance(layer, nn.Linear)]
