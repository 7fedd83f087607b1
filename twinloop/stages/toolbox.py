"""The toolbox: everything a run needs from outside, wired once. Tests and dry runs put fakes in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from twinloop.domain.forecast import Forecast
from twinloop.ports import Clock, GenerationSettings, Generator, Reporter, Trainer, TrainingSettings
from twinloop.stages.observe import Observer
from twinloop.stages.words import USUAL, Around


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
            images. usual_steps: of the preset, 0 = not known.
        small_face: height of a face as a share of the picture's, under which it is redrawn where that is wanted.
        style: of prompts, as in `families.base.Preset`. base_model: as the user named it.
        around: what prompts have round the facets' words.
        forecast: what a training will need here; loads the base.
        tell_device: say where models compute.
        observer: the ruler.
    """

    generator: Callable[[], Generator]
    trainer: Callable[[], Trainer]
    generation: GenerationSettings
    training: Callable[[int], TrainingSettings]
    style: str
    base_model: str
    around: Around = USUAL
    small_face: float = 0.0
    usual_steps: int = 0
    forecast: Forecaster = _unknown
    tell_device: Callable[[], None] = lambda: None
    observer: Observer
    clock: Clock
    reporter: Reporter
