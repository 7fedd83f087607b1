"""The LoRA that a training begins from, instead of from nothing: what is known of it before a base model is loaded."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from twinloop.adapters.trainers.lora.given_file import given_file
from twinloop.errors import InputError, ModelFileError
from twinloop.families.base import Family
from twinloop.loras.adapter import Adapter, Place, understood
from twinloop.loras.components import DENOISER
from twinloop.loras.lora import Layer, LoraFile, is_wide_shape, read_lora
from twinloop.ports import TrainingSettings


@dataclass(frozen=True, eq=False)
class Start:
    """The layers of a LoRA by component and diffusers' path, and the file they are from."""

    path: Path
    layers: Mapping[Place, Layer]


def check_start(settings: TrainingSettings) -> None:
    """Whether a training can begin from the file that the settings name.

    Raises:
        InputError, ModelFileError: what is wrong with it, with the next step. StateError: it is no longer the same
            file.
    """
    if not settings.start_from:
        return
    file = _readable(settings)
    with contextlib.suppress(ModelFileError):  # of names that the family, which is known later, may make clear
        adapter = understood(file)
        if adapter.family or not adapter.original:  # else layers may be several in one, whose ranks add up
            _start(file, adapter, settings)


def start_of(settings: TrainingSettings, family: Family) -> Start | None:
    """What the training begins from; None = nothing.

    Errors as in `check_start`, and of a name that the family does not have.
    """
    if not settings.start_from:
        return None
    file = _readable(settings)
    return _start(file, understood(file, family.name), settings)


def _readable(settings: TrainingSettings) -> LoraFile:
    path = given_file(settings.start_from, settings.start_sha256, "start_from")
    file = read_lora(path).plain()
    if file.products:
        raise ModelFileError(f"{path} is a LoKr; a training can begin from a LoRA of pairs of matrices only.")
    return file


def _start(file: LoraFile, adapter: Adapter, settings: TrainingSettings) -> Start:
    """Raises InputError: a rank that the training has no room for, or parts that it does not train."""
    start = Start(file.path, {place: layer for place, layer in adapter.layers.items() if isinstance(layer, Layer)})
    _check_ranks(start, settings)
    encoders = {place: layer for place, layer in start.layers.items() if place.component != DENOISER}
    if not settings.text_encoder and changing(encoders):
        raise InputError(
            f"training.start_from: {start.path} adapts its text encoders too: set training.text_encoder to true, or"
            " begin from another LoRA."
        )
    return start


def changing(layers: Mapping[Place, Layer]) -> list[Place]:
    """The layers that change something: the copy for other programs fills up fused ones with parts that no training
    adapted.
    """
    return [place for place, layer in layers.items() if layer.down.values().any() and layer.up.values().any()]


def _check_ranks(start: Start, settings: TrainingSettings) -> None:
    path, layers = start.path, start.layers.values()
    wide = max((layer.rank for layer in layers if is_wide_shape(layer.down.shape)), default=0)
    if wide > settings.conv_rank:
        raise InputError(
            f"training.start_from: {path} adapts convolutions at rank {wide}, and the training at"
            f" {settings.conv_rank}. Set training.conv_rank to {wide}."
        )
    rank = max((layer.rank for layer in layers if not is_wide_shape(layer.down.shape)), default=0)
    if rank > settings.rank:
        raise InputError(
            f"training.start_from: {path} has rank {rank}, and the training {settings.rank}. Set training.rank to"
            f" {rank}, or make the file smaller: twinloop lora resize {path} --rank {settings.rank} --output SMALLER."
        )
