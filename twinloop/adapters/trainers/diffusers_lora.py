"""Train a LoRA with diffusers and PEFT: cached latents and captions, steps that depend on (seed, step) only, resume to
the same bytes.

On one machine, device and thread count a training that was killed and started again writes the same file as one that
was not. The thread count of the first start is kept in the work folder for that reason. On a GPU this holds as far as
its kernels sum in a fixed order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.base_model import BaseModel, open_base
from twinloop.adapters.diffusion.memory import ran_out_of_memory
from twinloop.adapters.trainers.data.prepare import caption_chunks
from twinloop.adapters.trainers.execution.process_group import ALONE, Workers
from twinloop.adapters.trainers.execution.step_execution import StepExecution
from twinloop.adapters.trainers.memory.planning import encoders_too_large, forecast
from twinloop.adapters.trainers.preflight import check_blocks
from twinloop.adapters.trainers.records.checkpoints import Checkpoints
from twinloop.adapters.trainers.records.export import LoraExport
from twinloop.adapters.trainers.records.header import base_header, length_header
from twinloop.adapters.trainers.records.metrics import keep_log
from twinloop.adapters.trainers.records.training_record import open_record
from twinloop.adapters.trainers.training_job import TrainingJob
from twinloop.adapters.trainers.training_loop import TrainingRun
from twinloop.adapters.trainers.training_setup import set_up
from twinloop.domain.forecast import Forecast
from twinloop.domain.records import TrainingSample
from twinloop.errors import OutOfMemory
from twinloop.families.base import Family
from twinloop.families.lora_names import places_of
from twinloop.ports import Progress, Trained, TrainingSettings, TrainingSize, nobody_listens
from twinloop.store.models.step_saves import StepSaves


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
        job = TrainingJob.of(samples, settings, self._open(), self._notice)
        base, settings, workers = job.base, job.settings, self._workers
        saves = StepSaves.of(settings, output)
        with workers.main_first():
            record = open_record(work, job.inputs(self.fingerprint), self._notice, saves.check_free)
        with (
            set_up(job, record, workers, self._notice) as setup,
            job.adapted(checkpointing=setup.plan.checkpointing) as model,
        ):
            execution = StepExecution.open(base, settings, setup.plan, work, workers.rank, self._notice)
            run = TrainingRun(base, model, setup.data, settings, execution, record, self._notice, workers)
            texts = {**self._texts, **length_header(max(job.chunks)), **metadata}
            attentions = places_of(name for name, _ in base.denoiser.named_modules())
            lora = LoraExport(self._family, model, run.noise.prediction, attentions, job.images, record.date, texts)

            def save(step: int) -> None:
                if (path := saves.at(step)) is not None:
                    with run.written_weights():
                        lora.write(path, replace(settings, stop_at=step))
                    saves.drop_old(step)

            with job.assisted():
                loss = run.finish(progress, save)
            if workers.is_main:
                keep_log(work, output)
                with run.written_weights():
                    lora.write(output, settings)
        return Trained(settings.last_step, loss, run.validation)

    def steps_done(self, work: Path) -> int:
        """The step of the newest checkpoint in ``work``; 0 where there is none."""
        return Checkpoints(work).last_step

    def make_room(self) -> None:
        """Leave the GPU to other processes that train."""
        self._open().make_room()

    def notes(self, settings: TrainingSettings, *, prior: bool) -> Sequence[str]:
        """None: these are the settings of this trainer."""
        return ()

    def forecast(self, settings: TrainingSettings, size: TrainingSize) -> Forecast | None:
        """What such a training will need here; None where it cannot be told.

        Raises:
            InputError: more blocks are to be swapped than the model has. OutOfMemory: not even the text encoders fit.
        """
        base = self._open()
        base.lora.use(None)
        check_blocks(settings, base)
        try:
            chunks = math.lcm(*caption_chunks(base, size.captions, settings))
            return forecast(base, settings, size, chunks=chunks)
        except (RuntimeError, NotImplementedError) as error:
            if ran_out_of_memory(error):
                raise OutOfMemory(encoders_too_large(None)) from error
            return None  # a denoiser that looks into its numbers
