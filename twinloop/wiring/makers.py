"""Settings -> generator, trainer and everything that is known about them before anything long starts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from twinloop.config import Settings
from twinloop.domain.forecast import Forecast
from twinloop.errors import TwinLoopError
from twinloop.families import preset_name
from twinloop.ports import GenerationSettings, Generator, Trainer, TrainingSettings
from twinloop.store.images import find_images
from twinloop.wiring.extras import with_extra
from twinloop.wiring.kits import chosen_family, diffusers_kit, fake_kit
from twinloop.wiring.names import FAKE, base_model_path
from twinloop.wiring.options import generation_settings, training_settings


@dataclass(frozen=True)
class Makers:
    """What makes images and LoRAs on one base model. The base is loaded when the first image or training asks for it.

    Attributes:
        generation, training: the settings in force; ``training`` takes the number of images.
        style: of prompts, ``prose`` or ``tags``. base_model: as the user named it.
        notice: what the user should know about the preset, "" when nothing.
        forecast: what a training on so many images will need here, None where it cannot be told; loads the base.
        check: looks at base model, machine and LoRAs (those of the settings, and others that are named) before anything long starts.
    """

    generator: Callable[[], Generator]
    trainer: Callable[[], Trainer]
    generation: GenerationSettings
    training: Callable[[int], TrainingSettings]
    style: str
    base_model: str
    notice: str
    check: Callable[[Sequence[Path]], None]
    forecast: Callable[[int], Forecast | None]


NO_STRENGTH = "generation.strength does nothing here: this model edits photos, and the prompt says what changes."


def _ignore(text: str) -> None:
    """Nobody listens."""


def build_makers(settings: Settings, notice: Callable[[str], None] = _ignore) -> Makers:
    """Generator and trainer for the settings' base model.

    Args:
        notice: told what the user should know while a training goes on.

    Raises:
        InputError: unknown preset (the known ones are listed). Calling the makers: MissingExtra, MissingModel.
    """
    kit = fake_kit() if settings.base_model == FAKE else diffusers_kit(settings, notice)
    generation = generation_settings(settings, kit.preset.generation)
    notices = [preset_name(settings.training.preset or "")[1], kit.preset.notice]
    if kit.edits:
        generation = replace(generation, strength=0.0)
        notices += [NO_STRENGTH] * ("strength" in settings.generation.model_fields_set)

    def training(images: int) -> TrainingSettings:
        return training_settings(settings, kit.preset.training, kit.preset.repeats, images)

    return Makers(
        generator=kit.generator,
        trainer=kit.trainer,
        generation=generation,
        check=functools.partial(_check_makers, settings, generation),
        training=training,
        style=settings.generation.prompt_style or kit.preset.style,
        base_model=settings.base_model,
        notice=" ".join(text for text in notices if text),
        forecast=lambda images: kit.forecast(training(images), images, _prior_images(settings)),
    )


def _prior_images(settings: Settings) -> int:
    """How many pictures of others of the class are learned beside the subject's."""
    folder = settings.training.prior_images
    return len(find_images(Path(folder))) if folder else 0


def _check_makers(settings: Settings, generation: GenerationSettings, loras: Sequence[Path] = ()) -> None:
    """Everything about the base model that can be known to fail without loading it.

    Raises:
        InputError, MissingModel, ModelFileError, MissingExtra: the first that cannot work, with the next step.
    """
    if settings.base_model == FAKE:
        return
    from twinloop.adapters.diffusion.preflight import Wanted, check

    given = [settings.training.initial_lora, *(path for path, _ in generation.extra_loras)]
    files = (*loras, *(Path(path) for path in given if path))
    _, family = chosen_family(settings)
    wanted = Wanted(
        base_model_path(settings.base_model),
        family,
        settings.device,
        settings.precision,
        settings.allow_download,
        generation,
        files,
        settings.quantization,
    )
    with_extra("Generating images and training", "train", lambda: check(wanted))


def obstacles(settings: Settings, makers: Makers) -> Iterator[TwinLoopError]:
    """What cannot work of trainer, base model, machine and training: one error each, with its next step. No model is loaded."""
    checks: tuple[Callable[[], object], ...] = (
        lambda: settings.training.trainer != "builtin" and makers.trainer(),
        lambda: makers.check(()),
        lambda: check_training_settings(settings, makers.training(1)),
    )
    for check in checks:
        try:
            check()
        except TwinLoopError as error:
            yield error


def check_training_settings(settings: Settings, training: TrainingSettings) -> None:
    """As `_check_makers`, about the training itself; other programs' trainers look after theirs."""
    if settings.base_model == FAKE:
        return
    if training.text_encoder:
        chosen_family(settings)[1].text_encoders()
    if settings.training.trainer != "builtin":
        return
    from twinloop.adapters.trainers.preflight import check_training

    options = settings.device, settings.precision, settings.training.processes
    with_extra("Training a LoRA", "train", lambda: check_training(training, *options))
