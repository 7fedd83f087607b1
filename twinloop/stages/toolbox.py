"""The toolbox: everything a run needs from outside, wired once. Tests and dry runs put fakes in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from twinloop.domain.forecast import Forecast
from twinloop.families.base import Family
from twinloop.ports import Clock, GenerationSettings, Generator, Reporter, Trainer, TrainingSettings
from twinloop.stages.observe import Observer
from twinloop.stages.words import Voice


class Forecaster(Protocol):
    """What a training will need."""

    def __call__(
        self, images: int, captions: Sequence[str] = (), sizes: Sequence[tuple[int, int]] = ()
    ) -> Forecast | None:
        """Of one on so many images, with these captions and sizes (width, height) where they are known; None where it
        cannot be told.
        """


@dataclass(frozen=True, kw_only=True)
class Makers:
    """What makes images and LoRAs on one base model, and what is known about it before the base is loaded.

    Attributes:
        generator, trainer: made on first use, because loading a base model takes long.
        generation: the settings in force (the user's over the family's). training: the same for a dataset of so many
            images. usual_steps: of a training, as the preset has it, 0 = not known.
        voice: how prompts are worded. base_model: as the user named it.
        small_face: height of a face as a share of the picture's, under which it is redrawn where that is wanted.
        forecast: what a training will need here; loads the base.
        family: of the base model; None for the fakes, which are of none.
        notice: what the user should know about the preset, "" when nothing. drawing_notice: of that, what holds where
            nothing is trained, either.
        check: looks at base model, machine and LoRAs (those of the settings, and others that are named) before anything
            long starts.
        trainer_notes: what another program that trains does otherwise than such a training asks for, a sentence each.
    """

    generator: Callable[[], Generator]
    trainer: Callable[[], Trainer]
    generation: GenerationSettings
    training: Callable[[int], TrainingSettings]
    usual_steps: int
    voice: Voice
    base_model: str
    small_face: float
    forecast: Forecaster
    family: Family | None
    notice: str
    drawing_notice: str
    check: Callable[[Sequence[Path]], None]
    trainer_notes: Callable[[TrainingSettings], Sequence[str]] = lambda settings: ()


@dataclass(frozen=True, kw_only=True)
class Toolbox:
    """Ports, filled. ``observer``: the ruler. ``tell_device``: say where models compute."""

    makers: Makers
    observer: Observer
    clock: Clock
    reporter: Reporter
    tell_device: Callable[[], None]
