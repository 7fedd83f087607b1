"""The toolbox: everything a run needs from outside, wired once. Tests and dry runs put fakes in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twinloop.domain.forecast import Forecast
from twinloop.ports import Clock, GenerationSettings, Generator, Reporter, Trainer, TrainingSettings
from twinloop.stages.observe import Observer


def _unknown(images: int) -> None:
    """Nothing can be told about what a training will need."""


@dataclass(frozen=True)
class Toolbox:
    """Ports, filled.

    Attributes:
        observer: the ruler. generator, trainer: made on first use, because loading a base model takes long.
        generation: the settings in force (the user's over the family's). training: the same for a dataset of so many images.
        forecast: what a training on so many images will need here, None where it cannot be told.
        style: of prompts, ``prose`` or ``tags``.
    """

    observer: Observer
    generator: Callable[[], Generator]
    trainer: Callable[[], Trainer]
    generation: GenerationSettings
    training: Callable[[int], TrainingSettings]
    style: str
    base_model: str
    clock: Clock
    reporter: Reporter
    forecast: Callable[[int], Forecast | None] = _unknown
