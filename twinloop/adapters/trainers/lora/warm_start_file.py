"""The LoRA that a training begins from, instead of from nothing: what is known of it before a base model is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from twinloop.adapters.diffusion.loras.given_lora import check_lora
from twinloop.adapters.trainers.lora.given_file import given_file
from twinloop.domain.training_rules import is_wanted
from twinloop.domain.wording import plural
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


def start_of(settings: TrainingSettings, family: Family) -> Start | None:
    """What the training begins from; None = nothing.

    Raises:
        InputError, ModelFileError: what is wrong with the file, with the next step; it is for another family, say.
        StateError: it is no longer the same file.
    """
    if not settings.start_from:
        return None
    file = _readable(settings, family)
    return _start(file, understood(file, family.name), settings)


def _readable(settings: TrainingSettings, family: Family) -> LoraFile:
    path = given_file(settings.start_from, settings.start_sha256, "start_from")
    check_lora(path, family)
    file = read_lora(path).plain()
    if file.products:
        raise ModelFileError(f"{path} is a LoKr; a training can begin from a LoRA of pairs of matrices only.")
    return file


def _start(file: LoraFile, adapter: Adapter, settings: TrainingSettings) -> Start:
    """Raises InputError or ModelFileError: a rank that the training has no room for, or parts that it does not
    train."""
    start = Start(file.path, {place: layer for place, layer in adapter.layers.items() if isinstance(layer, Layer)})
    _check_ranks(start, settings)
    encoders = {place: layer for place, layer in start.layers.items() if place.component != DENOISER}
    if not settings.text_encoder and changing(encoders):
        raise InputError(
            f"training.start_from: {start.path} adapts its text encoders too: set training.text_encoder to true, or"
            " begin from another LoRA."
        )
    if left := [
        place
        for place in changing({place: layer for place, layer in start.layers.items() if place not in encoders})
        if not is_wanted(place.path, settings.only_layers, settings.skip_layers)
    ]:
        raise left_alone(start, left)
    return start


def left_alone(start: Start, places: Sequence[Place]) -> ModelFileError:
    """What is said of layers that would be lost."""
    return ModelFileError(
        f"{start.path} adapts {plural(len(places), 'layer')} that this training leaves alone, such as"
        f" {min(places).path}: train the same ones, or begin from another LoRA."
    )


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
