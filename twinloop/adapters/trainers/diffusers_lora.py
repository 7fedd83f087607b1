"""Train a LoRA with diffusers and PEFT: cached latents and captions, steps that depend on (seed, step) only, resume to
the same bytes.

On one machine, device and thread count a training that was killed and started again writes the same file as one that
was not. The thread count of the first start is kept in the work folder for that reason. On a GPU this holds as far as
its kernels sum in a fixed order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.base_model import BaseModel, open_base
from twinloop.adapters.diffusion.block_swap import swappable
from twinloop.adapters.diffusion.compute import is_small
from twinloop.adapters.diffusion.memory import memory_errors, ran_out_of_memory
from twinloop.adapters.diffusion.repeatability import repeatable, threads
from twinloop.adapters.trainers.data.batches import drops_class_captions
from twinloop.adapters.trainers.data.prepare import (
    TrainingData,
    caption_chunks,
    measured_photos,
    prepare_data,
    prepare_validation,
)
from twinloop.adapters.trainers.execution.process_group import ALONE, Workers
from twinloop.adapters.trainers.execution.step_execution import StepExecution
from twinloop.adapters.trainers.lora.adapted_model import adapted
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan
from twinloop.adapters.trainers.lora.assistant_lora import assistant_of
from twinloop.adapters.trainers.lora.warm_start import begin_from, check_start
from twinloop.adapters.trainers.lora.warm_start_file import start_of
from twinloop.adapters.trainers.loss.noise_schedule import schedule_for
from twinloop.adapters.trainers.memory.planning import can_swap, encoders_too_large, forecast, memory_plan
from twinloop.adapters.trainers.preflight import check_blocks, check_on_base
from twinloop.adapters.trainers.records.begun import inputs_hash
from twinloop.adapters.trainers.records.checkpoints import Checkpoints
from twinloop.adapters.trainers.records.export import LoraExport
from twinloop.adapters.trainers.records.header import base_header, length_header
from twinloop.adapters.trainers.records.metrics import keep_log
from twinloop.adapters.trainers.records.training_record import open_record
from twinloop.adapters.trainers.training_loop import TrainingRun
from twinloop.domain.forecast import Forecast
from twinloop.domain.records import TrainingSample
from twinloop.domain.wording import NO_PHOTO_TO_TRAIN_ON
from twinloop.errors import NothingToDo, OutOfMemory
from twinloop.families.base import Family
from twinloop.families.lora_names import places_of
from twinloop.ports import Progress, Trained, TrainingSettings, nobody_listens
from twinloop.store.models.step_saves import StepSaves

_NOT_FOR_A1111 = (
    "A1111 draws this DoRA wrongly: it takes the magnitudes of outputs for those of inputs. Use it here, in ComfyUI or"
    ' in a current version of Forge, or set training.adapter to "lora".'
)

DROPPED_TOO = "the captions of the class are dropped with the subject's"
"""Among what decides a training: one that an earlier version began, which kept them, begins anew."""


class DiffusersLoraTrainer:
    """A `Trainer` on a local diffusers model.

    Args:
        notice: called with what the user should know while a training goes on. workers: the processes that share it,
            of which the main one writes.

    Raises:
        MissingModel, InputError, ModelFileError, OutOfMemory: each with what to do.
    """

    def __init__(
        self,
        choice: BaseChoice,
        family: Family,
        notice: Callable[[str], None] = nobody_listens,
        *,
        workers: Workers = ALONE,
    ) -> None:
        self._choice, self._family, self._notice, self._workers = choice, family, notice, workers
        base = self._open()
        self._fingerprint = f"diffusers-lora-{base.fingerprint}"
        self._texts = base_header(choice, family, base.denoiser.config)

    @property
    def fingerprint(self) -> str:
        """Of the base model's files and of how they are computed with."""
        return self._fingerprint

    def _open(self) -> BaseModel:
        """The base model, loaded anew where another one was opened in between."""
        return open_base(self._choice, self._family, self._notice)

    def train(
        self,
        samples: Sequence[TrainingSample],
        settings: TrainingSettings,
        output: Path,
        work: Path,
        metadata: Mapping[str, str],
        progress: Progress,
    ) -> Trained:
        """Write ``output``, its kohya copy ``<stem>_kohya.safetensors`` and its figures ``<stem>.metrics.jsonl``; the
        same without figures of the steps that ``save_every`` names.

        Raises:
            NothingToDo: no sample with a weight. InputError: settings this trainer does not know. OutOfMemory.
            MissingExtra: an optimizer or a place for figures whose library is not installed.
            TrainingDiverged: the loss is no longer a number. UnreadableImage, StateError: a photo is damaged, gone or
                changed. StateError: LoRAs of steps of another training lie where its own would.
        """
        learned = [sample for sample in samples if sample.weight > 0]
        subject = [sample for sample in learned if not sample.prior]
        held_out = [sample for sample in samples if not sample.weight and not sample.prior]
        if not subject:
            raise NothingToDo(NO_PHOTO_TO_TRAIN_ON)
        base, workers = self._open(), self._workers
        validations = settings.validations(len(held_out))
        settings = replace(applicable(settings, base), validate_every=validations.every)
        check_on_base(settings, base)
        start = start_of(settings, self._family)
        if start is not None:
            check_start(start, settings, self._family, base.denoiser)
        assistant = assistant_of(settings, base, self._notice)
        if settings.adapter == "dora" and self._family.denoiser == "unet":
            self._notice(_NOT_FOR_A1111)
        chunks = caption_chunks(base, [sample.caption for sample in learned], settings)
        others = [DROPPED_TOO] * drops_class_captions(settings)
        inputs, saves = inputs_hash(learned, settings, self.fingerprint, *others), StepSaves.of(settings, output)
        with workers.main_first():
            record = open_record(work, inputs, self._notice, saves.check_free)
        with threads(record.threads), repeatable(base.compute), ExitStack() as inside:
            inside.enter_context(memory_errors("Training", _advice(settings, base, settings.blocks_to_swap or 0)))
            with workers.main_first():
                prior = len(subject) < len(learned)
                plan = memory_plan(base, settings, work, self._notice, chunks=math.lcm(*chunks), prior=prior)
                inside.enter_context(memory_errors("Training", _advice(settings, base, plan.blocks_to_swap)))
                inside.enter_context(base.swapping(plan.blocks_to_swap))
                data = self._data(base, learned, measured_photos(held_out, validations.photos), settings, work)
            adapter = AdapterPlan.of(settings, self._family)
            with adapted(base, adapter, settings.seed, checkpointing=plan.checkpointing) as model:
                if start is not None:
                    begin_from(start, model)
                execution = StepExecution.open(base, settings, plan, work, workers.rank, self._notice)
                run = TrainingRun(base, model, data, settings, execution, record, self._notice, workers)
                texts = {**self._texts, **length_header(max(chunks)), **metadata}
                attentions = places_of(name for name, _ in base.denoiser.named_modules())
                lora = LoraExport(
                    self._family, model, run.noise.prediction, attentions, len(subject), record.date, texts
                )

                def save(step: int) -> None:
                    if (path := saves.at(step)) is not None:
                        with run.written_weights():
                            lora.write(path, replace(settings, stop_at=step))
                        saves.drop_old(step)

                with nullcontext() if assistant is None else assistant.worn(base.denoiser):
                    loss = run.finish(progress, save)
                if workers.is_main:
                    keep_log(work, output)
                    with run.written_weights():
                        lora.write(output, settings)
        return Trained(settings.last_step, loss, run.validation)

    def _data(
        self, base: BaseModel, learned: Sequence[TrainingSample], measured: Sequence[TrainingSample],
        settings: TrainingSettings, work: Path,
    ) -> TrainingData:  # fmt: skip
        """Of the samples that are learned, and of those that the validation loss is measured on where it is."""
        # several processes would each encode all; beside a training the encoding needs memory that a small GPU does not
        # have
        lazily = self._workers.world_size == 1 and not is_small(base.compute)
        data = prepare_data(base, learned, settings, work, self._notice, lazily=lazily)
        if not settings.validate_every:
            return data
        return replace(data, validation=prepare_validation(base, measured, settings, work))

    def steps_done(self, work: Path) -> int:
        """The step of the newest checkpoint in ``work``; 0 where there is none."""
        return Checkpoints(work).last_step

    def make_room(self) -> None:
        """Leave the GPU to other processes that train."""
        self._open().make_room()

    def forecast(
        self,
        settings: TrainingSettings,
        images: int,
        prior_images: int = 0,
        captions: Sequence[str] = (),
        held_out: int = 0,
    ) -> Forecast | None:
        """What a training on so many images, and so many of others of the class, will need here; None where it cannot
        be told.

        Args:
            captions: of the images, where they are known; else they are taken for short ones.
            held_out: so many of the images are, about.

        Raises:
            InputError: more blocks are to be swapped than the model has. OutOfMemory: not even the text encoders fit.
        """
        base = self._open()
        base.lora.use(None)
        check_blocks(settings, base)
        try:
            chunks = math.lcm(*caption_chunks(base, captions, settings))
            return forecast(base, settings, images, prior_images=prior_images, chunks=chunks, held_out=held_out)
        except (RuntimeError, NotImplementedError) as error:
            if ran_out_of_memory(error):
                raise OutOfMemory(encoders_too_large(None)) from error
            return None  # a denoiser that looks into its numbers


def _advice(settings: TrainingSettings, base: BaseModel, swapped: int) -> str:
    """What to do where a single picture does not fit while so many blocks are swapped."""
    return memory_advice(settings, swaps=can_swap(base) and swapped < len(swappable(base.denoiser)))


def memory_advice(settings: TrainingSettings, *, swaps: bool) -> str:
    """What to do where a single picture does not fit; ``swaps``: more blocks can be swapped here."""
    lower = (
        "lower training.resolution or training.rank, or use training.optimizer adafactor; the training then begins"
        " anew."
    )
    if settings.gradient_checkpointing is False:
        return (
            "Set training.gradient_checkpointing to null or true: the training goes on from its last checkpoint. If"
            f" that is too little, {lower}"
        )
    if swaps:
        return (
            "Set training.blocks_to_swap, or set it higher: the training goes on from its last checkpoint, with slower"
            f" steps. If that is too little, {lower}"
        )
    return lower[0].upper() + lower[1:]


def applicable(settings: TrainingSettings, base: BaseModel) -> TrainingSettings:
    """The settings without those that mean nothing for the base: signal-to-noise weights for a flow, a noise offset
    where it has no use; and with the layer that the base's CLIP is read from, for the record.
    """
    noise = schedule_for(base.family, base.scheduler_config)
    gamma = 0.0 if base.family.flow else settings.min_snr_gamma
    offset = settings.noise_offset if noise.takes_offset else 0.0
    skip = base.reading.get("clip_skip", 1)
    return replace(settings, min_snr_gamma=gamma, noise_offset=offset, clip_skip=skip)
