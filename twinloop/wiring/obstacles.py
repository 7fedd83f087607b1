"""Everything about base model, machine and training that can be known to fail before anything long starts."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from twinloop.config import Settings
from twinloop.errors import MissingDevice, MissingExtra, MissingModel, MissingTool, TwinLoopError
from twinloop.families import Family
from twinloop.families.predictions import check_asked, prediction_of
from twinloop.ports import GenerationSettings, TrainingSettings
from twinloop.stages.toolbox import Makers
from twinloop.wiring.extras import in_one_line, with_extra
from twinloop.wiring.kits import chosen_base
from twinloop.wiring.libraries import check_libraries, missing_libraries

if TYPE_CHECKING:
    from twinloop.adapters.diffusion.loras.early_fit import EarlyFit

NOT_HERE = (MissingModel, MissingExtra, MissingTool, MissingDevice)
"""Obstacles that gaps and prompts do not need away: what is lacking may be fetched and installed later, and the run may
be another machine's.
"""


def check_makers(
    settings: Settings, family: Family | None, generation: GenerationSettings, loras: Sequence[Path]
) -> None:
    """Everything about the base model that can be known to fail without loading it.

    Raises:
        InputError, MissingModel, ModelFileError, MissingExtra: the first that cannot work, with the next step.
    """
    if family is None:
        return
    check_libraries(settings)
    for look in _maker_checks(settings, family, generation, loras):
        with_extra("Generating images and training", "train", look)


def _maker_checks(
    settings: Settings, family: Family, generation: GenerationSettings, loras: Sequence[Path] = ()
) -> Iterator[Callable[[], object]]:
    """What `check_makers` looks at, each of which fails alone."""
    from twinloop.adapters.diffusion.preflight import Wanted, checks

    choice = chosen_base(settings)
    yield lambda: check_asked(choice.prediction, prediction_of(choice.base, family), family)
    given = [settings.training.initial_lora, *(path for path, _ in generation.extra_loras)]
    files = (*loras, *(Path(path) for path in given if path))
    yield from checks(
        Wanted(
            choice,
            family,
            generation,
            files,
            settings.generation.from_photos > 0,
            settings.generation.face_detail > 0,
        )
    )


def without_downloads(settings: Settings) -> Settings:
    """The same settings, but nothing is fetched while obstacles are looked for."""
    return settings.model_copy(update={"allow_download": False})


def obstacles(settings: Settings, makers: Makers) -> Iterator[TwinLoopError]:
    """All that cannot work of trainer, base model, machine and training: one error each, with its next step, and one
    for all libraries that are not installed. No model is loaded.
    """
    if makers.family is None:
        return
    yield from in_one_line(_found(settings, makers, makers.family))


def _found(settings: Settings, makers: Makers, family: Family) -> Iterator[TwinLoopError]:
    yield from missing_libraries(settings)
    external = settings.training.trainer != "builtin"
    looks: Iterator[Callable[[], object]] = itertools.chain(
        [makers.trainer] if external else [],
        _maker_checks(settings, family, makers.generation),
        _training_checks(settings, family, makers.training(1)),
        _size_checks(settings, family),
    )
    for look in looks:
        try:
            with_extra("Generating images and training", "train", look)
        except TwinLoopError as error:
            yield error


def _training_checks(settings: Settings, family: Family, training: TrainingSettings) -> Iterator[Callable[[], object]]:
    """As `_maker_checks`, about the training itself; other programs' trainers look after theirs."""
    if training.text_encoder:
        yield family.text_encoders
    if training.assistant_lora:
        from twinloop.adapters.trainers.lora.assistant_lora_file import check_assistant

        yield lambda: check_assistant(training, family)
    if settings.training.trainer != "builtin":
        return
    from twinloop.adapters.trainers.preflight import check_begins, misfits, training_checks

    for problem in misfits(training, family):
        yield functools.partial(_fail, problem)
    choice, processes, asked = chosen_base(settings), settings.training.processes, settings.training
    yield from training_checks(training, family, choice, processes)
    if asked.warm_start and asked.initial_lora:
        warm = replace(training, start_from=asked.initial_lora, start_sha256="")
        yield lambda: check_begins(warm, family, choice)


def _size_checks(settings: Settings, family: Family) -> Iterator[Callable[[], object]]:
    """Whether the LoRAs that images are made with have the sizes of the base model, which is told without loading it:
    they are worn hours after the beginning.
    """
    asked = settings.training
    given = [asked.initial_lora] if asked.initial_lora and not asked.warm_start else []  # else as one to begin from
    worn = dict.fromkeys([*given, *(lora.path for lora in settings.generation.extra_loras)])
    if not worn:
        return

    @functools.cache
    def fit() -> EarlyFit:
        from twinloop.adapters.diffusion.loras.early_fit import EarlyFit

        return EarlyFit(chosen_base(settings), family)

    yield from (functools.partial(lambda path: fit().check(path), Path(path)) for path in worn)


def _fail(error: TwinLoopError) -> None:
    raise error
