"""The toolbox: everything a run needs from outside, wired once. Tests and dry runs put fakes in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from twinloop.domain.forecast import Forecast
from twinloop.ports import Clock, GenerationSettings, Generator, Reporter, Trainer, TrainingSettings
from twinloop.stages.observe import Observer


class Forecaster(Protocol):
    """What a training will need."""

    def __call__(self, images: int, captions: Sequence[str] = ()) -> Forecast | None:
        """Of one on so many images, with these captions where they are known; None where it cannot be told."""


def _unknown(images: int, captions: Sequence[str] = ()) -> None:
    """Nothing can be told about what a training will need."""


@dataclass(frozen=True, kw_only=True)
class Toolbox:
    """Ports, filled: what makes images and LoRAs on one base model, and what else a run needs.

    Attributes:
        generator, trainer: made on first use, because loading a base model takes long.
        generation: the settings in force (the user's over the family's). training: the same for a dataset of so many
            images.
        small_face: height of a face as a share of the picture's, under which it is redrawn where that is wanted.
        style: of prompts, as in `families.base.Preset`. base_model: as the user named it.
        forecast: what a training will need here; loads the base.
        observer: the ruler.
    """

    generator: Callable[[], Generator]
    trainer: Callable[[], Trainer]
    generation: GenerationSettings
    training: Callable[[int], TrainingSettings]
    style: str
    base_model: str
    small_face: float = 0.0
    forecast: Forecaster = _unknown
    observer: Observer
    clock: Clock
    reporter: Reporter
