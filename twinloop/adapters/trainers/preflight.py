"""What of a training's settings can be known to fail, before anything long starts: `training_checks` need no model and
look at this machine, `check_fits` needs the family alone, `check_on_base` the loaded base model.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.preflight import Check
from twinloop.adapters.trainers.lora.warm_start_file import start_of
from twinloop.domain.captions import of_the_class, parts_of
from twinloop.domain.choices import HUBER_SCHEDULES
from twinloop.domain.extras import OPTIMIZER_MODULES
from twinloop.domain.training_rules import beyond_flow, clashes, told
from twinloop.domain.wording import plural
from twinloop.errors import InputError, MissingDevice, MissingExtra
from twinloop.families.base import Family
from twinloop.families.gguf_files import SUFFIX, holds_packed_weights
from twinloop.ports import TrainingSettings

if TYPE_CHECKING:
    import torch

    from twinloop.adapters.diffusion.base_model import BaseModel


def training_checks(settings: TrainingSettings, family: Family, choice: BaseChoice, processes: int) -> Iterator[Check]:
    """Looks whether the LoRA to begin from, optimizer, libraries and processes are there and fit, each of which fails
    alone; PyTorch is imported only where one of them asks for it.

    Raises (on calling one of them):
        InputError, MissingExtra, ModelFileError: it cannot work; with the next step.
    """
    packed = choice.base.lower().endswith(SUFFIX)
    if settings.start_from:
        yield lambda: check_begins(settings, family, choice)
    elif settings.only_layers or settings.skip_layers:  # which `check_begins` looks at, too
        yield lambda: _check_layers(settings, family, choice)
    yield lambda: _check_adapter(settings, packed and holds_packed_weights(Path(choice.base)))
    if settings.blocks_to_swap:
        yield lambda: _check_blocks_there(settings, family, choice, packed)
    if settings.wandb:
        yield _check_wandb
    if settings.optimizer in OPTIMIZER_MODULES:
        yield lambda: _check_optimizer(settings, choice)
    if processes > 1:
        yield lambda: _check_processes(processes, settings.effective_batch)


def check_begins(settings: TrainingSettings, family: Family, choice: BaseChoice) -> None:
    """Whether the training can begin from the LoRA that it is to begin from: the file, and, where the base's
    configuration is here, the sizes of its layers and which of them are trained.

    Raises:
        InputError, ModelFileError, StateError: it cannot; with the next step.
    """
    start = start_of(settings, family)
    if start is None:
        return
    from twinloop.adapters.diffusion.loras.early_fit import empty_denoiser
    from twinloop.adapters.trainers.lora.warm_start import check_start

    denoiser = empty_denoiser(choice, family)
    if denoiser is not None:
        check_start(start, settings, family, denoiser)


def _check_layers(settings: TrainingSettings, family: Family, choice: BaseChoice) -> None:
    """Whether the settings leave layers to train, and name none that is not there, where the base's configuration is
    here.
    """
    from twinloop.adapters.diffusion.loras.early_fit import empty_denoiser
    from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan

    denoiser = empty_denoiser(choice, family)
    if denoiser is not None:
        AdapterPlan.of(settings, family).layers(denoiser)


def _check_blocks_there(settings: TrainingSettings, family: Family, choice: BaseChoice, packed: bool) -> None:
    """Whether so many blocks can be swapped, their number where the base's configuration is here."""
    from twinloop.adapters.diffusion.block_swap import swappable
    from twinloop.adapters.diffusion.loras.early_fit import empty_denoiser

    _check_swap(_place(choice).type, None if packed else choice.quantization)
    denoiser = empty_denoiser(choice, family)
    if denoiser is not None:
        _check_count(settings, len(swappable(denoiser)))


def _place(choice: BaseChoice) -> torch.device:
    """Where the base computes."""
    from twinloop.adapters.diffusion.compute import choose_compute

    return choose_compute(choice.device, choice.precision).device


def _check_wandb() -> None:
    if importlib.util.find_spec("wandb") is None:
        raise MissingExtra("training.wandb", "wandb", "no module 'wandb'")


def _check_optimizer(settings: TrainingSettings, choice: BaseChoice) -> None:
    from twinloop.adapters.trainers.optim.optimizer import check_optimizer

    check_optimizer(settings.optimizer, _place(choice), settings.optimizer_args)


def _check_processes(processes: int, batch: int) -> None:
    from twinloop.adapters.trainers.execution.process_group import check_processes

    check_processes(processes, batch)


def check_on_base(settings: TrainingSettings, base: BaseModel) -> None:
    """Whether a loaded base model can be trained with these settings; asked before anything long starts.

    Raises:
        InputError, MissingExtra: the first that cannot, with the next step.
    """
    from twinloop.adapters.diffusion.quantised.model import is_packed
    from twinloop.adapters.trainers.optim.optimizer import check_optimizer

    if settings.text_encoder:
        base.family.text_encoders()
    _check_adapter(settings, is_packed(base.denoiser))
    check_optimizer(settings.optimizer, base.compute.device, settings.optimizer_args)
    check_fits(settings, base.family)
    check_blocks(settings, base)


def check_blocks(settings: TrainingSettings, base: BaseModel) -> None:
    """Whether so many blocks of a loaded base model can be swapped.

    Raises:
        InputError: it has fewer, or none can be.
    """
    from twinloop.adapters.diffusion.block_swap import swappable
    from twinloop.adapters.diffusion.quantised.model import is_packed

    if not settings.blocks_to_swap:
        return
    _check_swap(base.compute.device.type, None if is_packed(base.denoiser) else base.compute.quantization)
    _check_count(settings, len(swappable(base.denoiser)))


def _check_count(settings: TrainingSettings, most: int) -> None:
    """Raises InputError where more blocks are to be swapped than the model has."""
    if (settings.blocks_to_swap or 0) > most:
        raise InputError(
            f"training.blocks_to_swap: {settings.blocks_to_swap}, but this model has {plural(most, 'block')}. Set"
            f" it to {most} or less, or leave it out."
        )


def _check_adapter(settings: TrainingSettings, packed: bool) -> None:
    """Whether the adapter can be put on the base's weights.

    Args:
        packed: they come out of a ``.gguf`` file, whose bytes PEFT would take for the weights that a DoRA measures.

    Raises:
        InputError: it cannot.
    """
    if packed and settings.adapter == "dora":
        raise InputError(
            'training.adapter: "dora" does not go with the packed weights of a .gguf file as base_model, whose'
            ' magnitudes it cannot tell. Use "lora", or name the .safetensors file or folder of this model;'
            ' "quantization": "int8" makes that smaller.'
        )


def _check_swap(device: str, quantization: str | None) -> None:
    """Whether blocks can be swapped.

    Raises:
        MissingDevice: there is no GPU to save memory on. InputError: the weights cannot.
    """
    if device != "cuda":
        raise MissingDevice(
            "training.blocks_to_swap saves memory of a CUDA GPU, but this training computes on"
            f" {device}, where it does nothing. Leave it out, or run on a machine with such a GPU."
        )
    if quantization == "nf4":
        raise InputError(
            'training.blocks_to_swap does not go with "quantization": "nf4", whose library keeps the weights on the GPU'
            ' until the backward pass. Use "int8" or "fp8", or leave one of the two out.'
        )


def check_fits(settings: TrainingSettings, family: Family) -> None:
    """Whether the settings go together, and with the family of the base model.

    Raises:
        InputError: the first that do not, with the next step.
    """
    for problem in misfits(settings, family):
        raise problem


def misfits(settings: TrainingSettings, family: Family) -> Iterator[InputError]:
    """All that does not go together, as `check_fits` raises it."""
    for fields, problem in (*clashes(settings), *(beyond_flow(settings, family.name) if family.flow else ())):
        yield InputError(told(fields, problem))
    if not family.flow and (settings.flow_sampling or settings.flow_shift):
        yield InputError(
            f"training.flow_sampling and flow_shift are for flow models; {family.name} is none. Leave them out."
        )
    known = HUBER_SCHEDULES[:2] if family.flow else HUBER_SCHEDULES
    if settings.loss != "l2" and settings.huber_schedule_of(flow=family.flow) not in known:
        yield InputError(
            f"training.huber_schedule: '{settings.huber_schedule}' is not known for {family.name}. Known:"
            f" {', '.join(known)}; null takes {'exponential' if family.flow else 'snr'}."
        )
    if settings.conv_rank and family.denoiser != "unet":
        yield InputError(
            f"training.conv_rank is for U-Nets, whose convolutions it adapts: SD 1.5 and SDXL. {family.name} has a"
            " transformer. Leave it out."
        )
    if any(side >= settings.resolution for side in settings.smaller_resolutions):
        yield InputError(
            "training.smaller_resolutions: all must be smaller than training.resolution, which is"
            f" {settings.resolution}."
        )
    if settings.output_preservation and not settings.trigger.strip():
        yield InputError(
            "training.output_preservation holds the class word against the trigger words; set person_trigger."
        )
    elif settings.output_preservation and _says_the_class(settings):
        yield InputError(
            f"training.output_preservation keeps what the base makes of class_word ('{settings.class_word}'), and the"
            f" trigger words '{settings.trigger}' are no more than that, so it would keep them from being learned."
            " Change person_trigger or class_word."
        )


def _says_the_class(settings: TrainingSettings) -> bool:
    """Whether the trigger says nothing beside the class, so that a caption of the class is one of the subject."""
    words = ", ".join(parts_of(settings.trigger))
    return of_the_class(words, settings.trigger, settings.class_word).casefold() == words.casefold()
