"""Kind of base model -> what makes images and LoRAs on it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from twinloop.config import Settings
from twinloop.domain.choices import FAKE, NANO
from twinloop.errors import InputError
from twinloop.families import Family, Preset, family_of_preset, preset_for, preset_name
from twinloop.families.base import Guidance
from twinloop.families.predictions import Asked, prediction_of, suited
from twinloop.families.scaled_weights import is_scaled_file
from twinloop.ports import GenerationSettings, Generator, Trainer, TrainingSettings
from twinloop.registry import load_plugin
from twinloop.store.models.part_hashes import hashes_of_parts
from twinloop.wiring.extras import with_extra
from twinloop.wiring.machine import trains_in_float16
from twinloop.wiring.names import base_model_path
from twinloop.wiring.options import training_settings

if TYPE_CHECKING:
    from twinloop.adapters.diffusion.base_choice import BaseChoice


def chosen_family(settings: Settings) -> tuple[str, Family]:
    """The preset in force and its family; plug-ins may bring families of their own."""
    for path in settings.analysis.plugins:
        load_plugin(Path(path))
    name, _ = preset_name(settings.training.preset or preset_for(settings.base_model))
    return name, family_of_preset(name)


def chosen_base(settings: Settings) -> BaseChoice:
    """The settings' base model and how it is computed with."""
    from twinloop.adapters.diffusion.base_choice import BaseChoice

    return BaseChoice(
        base_model_path(settings.base_model),
        settings.device,
        settings.precision,
        settings.quantization,
        settings.allow_download,
        asked_prediction(settings),
        settings.base_parts.given,
        tuple(hashes_of_parts(settings.base_parts.given).items()),
        settings.clip_skip,
    )


def asked_prediction(settings: Settings) -> Asked:
    """What the settings say that the base model predicts."""
    return Asked(settings.base_prediction, settings.zero_terminal_snr)


def chosen_preset(settings: Settings, name: str, family: Family) -> Preset:
    """The preset of that name, with the training that suits what the base model predicts."""
    preset = family.preset(name)
    told = prediction_of(base_model_path(settings.base_model), family, asked_prediction(settings))
    return replace(preset, training=suited(preset.training, told))


def base_family(settings: Settings) -> Family:
    """The family of the settings' base model; nothing is loaded.

    Raises:
        InputError: unknown preset.
    """
    return chosen_family(settings)[1]


@dataclass(frozen=True)
class Kit:
    """What one kind of base model brings.

    ``family``: None for the fakes, which are of none.
    """

    generator: Callable[[], Generator]
    trainer: Callable[[], Trainer]
    preset: Preset
    family: Family | None

    @property
    def guidance(self) -> Guidance:
        return Guidance() if self.family is None else self.family.guidance

    @property
    def edits(self) -> bool:
        """Whether the model edits photos instead of drawing over them."""
        return self.family is not None and self.family.editing is not None


def diffusers_kit(settings: Settings, notice: Callable[[str], None]) -> Kit:
    """Generator and trainer on a diffusers base; the base is loaded when one of them is first asked for.

    Args:
        notice: told what the user should know while images are made or a training goes on.
    """
    name, family = chosen_family(settings)
    choice = chosen_base(settings)  # now, so that generator and trainer hold to the same files

    @functools.cache
    def generator() -> Generator:
        return with_extra("Generating images", "train", lambda: _generator(choice, family, notice))

    @functools.cache
    def trainer() -> Trainer:
        if settings.training.trainer != "builtin":
            return _external_trainer(settings, choice, name, family, notice)
        return with_extra("Training a LoRA", "train", lambda: _trainer(settings, choice, name, family, notice))

    return Kit(generator, trainer, chosen_preset(settings, name, family), family)


def _generator(choice: BaseChoice, family: Family, notice: Callable[[str], None]) -> Generator:
    from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator

    return DiffusersGenerator(choice, family, notice)


def _trainer(
    settings: Settings, choice: BaseChoice, preset: str, family: Family, notice: Callable[[str], None]
) -> Trainer:
    processes = settings.training.processes
    if processes > 1:
        from twinloop.adapters.trainers.distributed.job import NamedFamily
        from twinloop.adapters.trainers.distributed.trainer import DistributedTrainer

        return DistributedTrainer(choice, NamedFamily(preset, settings.analysis.plugins), processes, notice)
    from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer

    return DiffusersLoraTrainer(choice, family, notice)


def _external_trainer(
    settings: Settings, choice: BaseChoice, name: str, family: Family, notice: Callable[[str], None]
) -> Trainer:
    """Another program on this machine, behind the same port.

    Raises:
        MissingTool: it is not where the configuration says. InputError: the embedded base, which only this program
            trains, or something that the other program does not know.
    """
    from twinloop.adapters.trainers.external.aitoolkit import AiToolkit
    from twinloop.adapters.trainers.external.kohya import Kohya
    from twinloop.adapters.trainers.external.tool import Tool, locate
    from twinloop.adapters.trainers.external.trainer import ExternalTrainer

    asked = settings.training
    _check_for_others(settings, asked.trainer, f"training.trainer: {asked.trainer}", ', or use "trainer": "builtin"')
    tools: Mapping[str, Callable[[], Tool]] = {"kohya": Kohya, "ai-toolkit": AiToolkit}
    tool = tools[asked.trainer]()
    installed = locate(tool, asked.trainer_path, asked.trainer_python, asked.extra_args)
    trainer = ExternalTrainer(
        tool,
        installed,
        choice,
        family,
        make_room=_leave_gpu,
        float16=lambda: trains_in_float16(choice, family.overflows_in_float16),
        notice=notice,
    )
    preset = chosen_preset(settings, name, family)
    given = [field for field, value in asked if value is not None]  # null leaves it to the preset
    trainer.check(training_settings(settings, preset.training, preset.repeats, images=1), given)
    return trainer


def check_export(settings: Settings, program: str, family: Family) -> None:
    """Whether another program can be told of the base model and of the files of its parts; what is not here is left to
    that program.

    Args:
        program: its title.

    Raises:
        InputError, ModelFileError, MissingModel: it cannot; names the field.
    """
    from twinloop.adapters.diffusion.base_files import check_given

    _check_for_others(settings, program, f"base_model: {program}")
    check_given(chosen_base(settings), family)


def _check_for_others(settings: Settings, program: str, subject: str, otherwise: str = "") -> None:
    """Whether the base model and its parts are in a form that other programs read.

    Args:
        subject: field and program. otherwise: what can be done instead.

    Raises:
        InputError: they are not.
    """
    if settings.base_model == NANO:
        raise InputError(f"{subject} cannot train the embedded base. Name another base_model{otherwise}.")
    if settings.base_model.endswith(".gguf"):
        raise InputError(
            f"{subject} trains on no .gguf files. Name the .safetensors file or folder as base_model{otherwise}."
        )
    if is_scaled_file(Path(settings.base_model).expanduser()):
        raise InputError(
            f"{subject} trains on no files whose weights have 8 bits and factors beside them (scaled fp8). Name the"
            f" file in 16 bits or a folder as base_model{otherwise}."
        )
    for part, file in settings.base_parts.given:
        if is_scaled_file(Path(file).expanduser()):
            raise InputError(
                f"base_parts.{part}: {program} gets no files whose weights have 8 bits and factors beside them (scaled"
                f" fp8). Name the file in 16 bits or in plain fp8{otherwise}."
            )


def _leave_gpu() -> None:
    """Where this process has generated, its base model lies on the GPU; else PyTorch is not even imported."""
    module = sys.modules.get("twinloop.adapters.diffusion.base_model")
    if module is not None:
        module.make_room()


def fake_kit() -> Kit:
    """The same loop without any model: instant, deterministic, for dry runs and tests."""
    from twinloop.adapters.fakes import FakeGenerator, FakeTrainer

    generator, trainer = FakeGenerator(), FakeTrainer()
    preset = Preset(
        GenerationSettings(steps=2, guidance=1.0, width=64, height=64, batch_size=4),
        TrainingSettings(
            preset=FAKE, steps=6, rank=4, alpha=4.0, learning_rate=1e-3, batch_size=4, resolution=64, seed=0
        ),
    )
    return Kit(lambda: generator, lambda: trainer, preset, None)
