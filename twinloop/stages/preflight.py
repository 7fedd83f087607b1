"""Before anything long starts: say what it will need, and whether there is room for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from twinloop.config import Settings
from twinloop.domain.forecast import GIB, Forecast
from twinloop.domain.training_rules import checkpoint_steps, never_reached, told
from twinloop.domain.wording import plural
from twinloop.errors import StorageError
from twinloop.ports import GenerationSettings, Reporter, TrainingSettings
from twinloop.stages.fixed_shots import USUAL_SAMPLES
from twinloop.stages.pauses import sample_steps

BYTES_PER_PIXEL = 1.5
"""Of a PNG of a photograph."""
LEAST_OF_PRODIGY = 0.1
"""Rates below are those of other optimizers."""
USUAL_GAPS = 8
"""How many gaps a round has, where nothing is known yet."""
SPARE = GIB // 8
"""What is left for journal, catalogue, report and everybody else."""


def pictures(settings: Settings, generation: GenerationSettings, training: TrainingSettings) -> int:
    """Bytes of the images of all rounds, of the panel and of what the trainings draw, about."""
    rounds, wanted = settings.max_iterations, settings.training
    count = rounds * USUAL_GAPS * settings.generation.num_per_gap + (rounds + 1) * settings.panel.images
    checked = wanted.keep_checkpoints if wanted.keep_checkpoints > 1 else 0
    sampled = len(sample_steps(training.steps, wanted.sample_every)) * (len(wanted.sample_prompts) or USUAL_SAMPLES)
    count += (rounds + 1) * (checked * wanted.checkpoint_panel + sampled)
    return int(count * generation.width * generation.height * BYTES_PER_PIXEL)


def many_steps(settings: Settings, training: TrainingSettings, usual: int, images: int) -> str:
    """What to say where ``training.epochs`` come to more than twice the preset's ``usual`` steps; "" = nothing.

    Whoever named the steps or a cap on them has chosen the number.
    """
    asked = settings.training
    if asked.epochs is None or asked.steps is not None or asked.max_train_steps or not 0 < 2 * usual < training.steps:
        return ""
    return (
        f"training.epochs {asked.epochs} on {plural(images, 'image')} come to {training.steps} steps, where the preset"
        f" {training.preset} takes {usual}. That takes {training.steps / usual:.1f} times as long and may overfit."
        f" Lower training.epochs or training.repeats, or cap the steps: training.max_train_steps {usual}."
    )


def remarks_on_training(settings: Settings, training: TrainingSettings, usual: int, images: int) -> Iterator[str]:
    """What to say of a training on so many images: many more steps than the preset's ``usual`` ones, too few for what
    is asked for on the way (where the configuration tells their number by itself, that was refused), or a rate at which
    next to nothing is learned.
    """
    if long := many_steps(settings, training, usual, images):
        yield long
    asked, steps = settings.training, training.steps
    for fields, problem in never_reached(asked, steps):
        yield told(fields, problem)
    measured = checkpoint_steps(steps, asked.keep_checkpoints)
    if 1 < len(measured) < asked.keep_checkpoints:
        yield (
            f"training.keep_checkpoints {asked.keep_checkpoints}: the last half of {steps} steps has only"
            f" {len(measured)} to measure."
        )
    if asked.optimizer == "prodigy" and training.learning_rate < LEAST_OF_PRODIGY:
        yield (
            f"training.learning_rate {training.learning_rate:g}: prodigy multiplies its own estimate by it, so that"
            " next to nothing is learned; 1.0 is usual."
        )
    late = [name for name in ("sample_every", "validate_every") if (getattr(asked, name) or 0) > steps]
    for name in late:
        yield (
            f"training.{name} {getattr(asked, name)} is more than the {steps} steps of this training: it happens once,"
            " after the last."
        )


def look_ahead(forecast: Forecast | None, pictures_bytes: int, folder: Path, reporter: Reporter) -> None:
    """Say the forecast in one line, and make sure that ``folder`` lies on a disk with room for it.

    Raises:
        StorageError: it does not; says how much is missing.
    """
    if forecast is not None:
        reporter.line(forecast.line)
    needed = pictures_bytes + (forecast.disk if forecast is not None else 0) + SPARE
    free = shutil.disk_usage(_existing(folder)).free
    if free < needed:
        raise StorageError(
            f"This run needs about {needed / GIB:.1f} GiB on the disk of {folder}, and {free / GIB:.1f} GiB are free. "
            "Free some space, or name another output_dir and lora_output_dir; nothing was started."
        )


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return place
