"""One training in memory: resume from the newest checkpoint, then step to the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from twinloop.adapters.diffusion.base_model import BaseModel
from twinloop.adapters.diffusion.memory import Spill, release_memory
from twinloop.adapters.diffusion.regions import failures
from twinloop.adapters.trainers.data.batches import Batch
from twinloop.adapters.trainers.data.prepare import TrainingData
from twinloop.adapters.trainers.execution.process_group import Workers
from twinloop.adapters.trainers.execution.step_execution import StepExecution
from twinloop.adapters.trainers.lora.adapted_model import AdaptedModel
from twinloop.adapters.trainers.loss.more_noise import MoreNoise
from twinloop.adapters.trainers.loss.noise_schedule import draw_noise, schedule_for
from twinloop.adapters.trainers.loss.objective import Objective
from twinloop.adapters.trainers.loss.validation import Validation
from twinloop.adapters.trainers.optim.ema import Average
from twinloop.adapters.trainers.optim.loss_scale import LossScale
from twinloop.adapters.trainers.optim.lr_schedule import learning_rate
from twinloop.adapters.trainers.optim.optimizer import Optimizer
from twinloop.adapters.trainers.records.checkpoints import Checkpoints
from twinloop.adapters.trainers.records.export import DIVERGED
from twinloop.adapters.trainers.records.metrics import FILE, Metrics, open_metrics
from twinloop.adapters.trainers.records.training_record import TrainingRecord
from twinloop.domain.shots import derive_seed
from twinloop.domain.validation_loss import RISES, ValidationLoss, begins_to_overfit
from twinloop.errors import TrainingDiverged
from twinloop.ports import Progress, TrainingSettings
from twinloop.store.models.training_log import logged_steps


def _nothing(step: int) -> None:
    """Is done after a step."""


def _rates(model: AdaptedModel, settings: TrainingSettings) -> dict[str, float]:
    """What each parameter's learning rate is of the common one."""
    # where both rates are the same the quotient is 1 exactly: Prodigy takes no rate that differs in its last bit
    encoders = dict.fromkeys(model.encoder_parameters, settings.text_encoder_rate / settings.learning_rate)
    ups = dict.fromkeys((name for name in model.parameters if name.endswith(".lora_B")), settings.loraplus_lr_ratio)
    return {name: encoders.get(name, 1.0) * (ups.get(name) or 1.0) for name in model.parameters}


LOSS = "loss"
SMOOTH = 0.95
MOST_LEFT_OUT = 16
"""Steps in a row whose loss is no number, after which a training in float16 has diverged."""


@dataclass(frozen=True)
class StepLoss:
    """Of one step: on the subject's pictures, and on the prior images before their weight; None = there are none."""

    subject: float
    prior: float | None = None

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.subject) and math.isfinite(self.prior or 0.0)


class TrainingRun:
    """The steps of one training.

    Args:
        execution: how its steps are taken. record: of its start; checkpoints and metrics lie beside it.
        notice: called with what the user should know while it goes on. workers: the processes that share it.
    """

    def __init__(
        self,
        base: BaseModel,
        model: AdaptedModel,
        data: TrainingData,
        settings: TrainingSettings,
        execution: StepExecution,
        record: TrainingRecord,
        notice: Callable[[str], None],
        workers: Workers,
    ) -> None:
        self._data, self._settings = data, settings
        self._model, self._record, self._notice, self._workers = model, record, notice, workers
        self._optimizer = Optimizer(
            model.parameters,
            settings.optimizer,
            settings.weight_decay,
            settings.clip_norm,
            rates=_rates(model, settings),
            arguments=settings.optimizer_args,
        )
        self._average = Average(model.parameters, settings.ema_decay)
        self._checkpoints, self._execution = Checkpoints(record.work), execution
        self.noise = schedule_for(base.family, base.scheduler_config, settings)
        self._objective = Objective(model, self.noise, settings)
        self._validation: Validation | None = None
        if data.validation is not None:
            self._validation = Validation(
                data.validation, self._objective, self.noise, settings.validation_times, workers
            )
        self._validations = list[ValidationLoss]()
        self._log = record.work / FILE
        self._smoothed_loss = torch.zeros(1, dtype=torch.float64)
        self._scale = LossScale(base.compute)
        self._left_out = 0
        self._spill, self._spilled = Spill(base.compute), False

    def finish(self, progress: Progress, after: Callable[[int], None] = _nothing) -> float:
        """Train up to the last step; returns the smoothed loss on the subject's pictures.

        Args:
            after: called by the main process with each step that was taken, before there is a checkpoint of it: what it
                does is done again where it was killed in between.

        Raises:
            TrainingDiverged: the loss or its gradients are no longer numbers.
        """
        settings = self._settings
        done = self._resume()
        if 0 < done < settings.last_step and self._execution.blocks.at(done + 1):
            self._compile_again()
        metrics = Metrics([])
        if self._workers.is_main:
            metrics = open_metrics(self._record.work, done, settings, self._record.inputs, self._notice)
            self._validations = [one.validation for one in logged_steps(self._log) if one.validation is not None]
        try:
            for step in range(done + 1, settings.last_step + 1):
                loss = self._step(step, metrics)
                self._smooth(loss)
                if self._workers.is_main:
                    after(step)
                if self._workers.is_main and (step % settings.checkpoint_every == 0 or step == settings.last_step):
                    metrics.sync()
                    self._checkpoints.save(step, self._state())
                progress(step, settings.steps, float(self._smoothed_loss), *self._newest_validation)
        finally:
            metrics.close()
        return float(self._smoothed_loss)

    @property
    def validation(self) -> ValidationLoss | None:
        """After the last step, where it was measured; known to the main process."""
        newest = self._validations[-1] if self._validations else None
        return newest if newest is not None and newest.step == self._settings.last_step else None

    @property
    def _newest_validation(self) -> tuple[float, ...]:
        return tuple(one.loss for one in self._validations[-1:])

    @contextmanager
    def written_weights(self) -> Iterator[None]:
        """The LoRA has the weights that are written: the average of them, where one is kept."""
        with self._optimizer.averaged(), self._average.applied():
            yield

    def _smooth(self, loss: StepLoss) -> None:
        """Take a step's loss into the average; the first is the average, and that of a step that was left out is no
        number.
        """
        if loss.is_finite:
            before, new = self._smoothed_loss, loss.subject
            self._smoothed_loss = before * SMOOTH + new * (1 - SMOOTH) if float(before) else before + new

    def _state(self) -> dict[str, Tensor]:
        return {
            **self._optimizer.state(),
            **self._average.state(),
            **self._scale.state(),
            LOSS: self._smoothed_loss,
        }

    def _resume(self) -> int:
        """Take up the newest checkpoint; how many steps are done, 0 without one."""
        kept = self._checkpoints.newest(self._settings.last_step)
        if kept is None:
            return 0
        self._smoothed_loss = kept.tensors[LOSS]
        self._scale.restore(kept.tensors)
        self._optimizer.restore(kept.tensors)
        self._average.restore(kept.tensors)
        return kept.step

    def _compile_again(self) -> None:
        """Compile at the first step's sizes before going on: what comes of compiling depends a little on the sizes that
        it meets first.
        """
        self._model.train_encoders(bool(self._settings.text_encoder_steps))
        self._gradients(1)
        self._optimizer.clear()

    def _step(self, step: int, metrics: Metrics) -> StepLoss:
        settings = self._settings
        self._model.train_encoders(step <= settings.text_encoder_steps)
        loss = self._whole(self._gradients(step))
        rate = learning_rate(
            step, settings.steps, settings.learning_rate, settings.warmup_steps, settings.schedule, settings.restarts
        )
        taken = self._optimizer.taken_rate(rate)  # the step itself changes the estimate
        # a sum over all processes: where one of them overflowed, all leave the step out
        norm = self._update(rate) if loss.is_finite else self._leave_out(step)
        if loss.is_finite:
            self._adjust_scale(step, overflowed=not math.isfinite(norm))
        self._average.update(step)
        with metrics.clock_stopped():
            validation = self._validate(step)
        metrics.add(
            step, loss=loss.subject, prior_loss=loss.prior, rate=taken, grad_norm=norm, validation=validation
        )  # fmt: skip
        self._watch_memory(step)
        return loss

    def _whole(self, share: StepLoss) -> StepLoss:
        """Of all processes."""
        prior = None if share.prior is None else self._workers.all_reduce_number(share.prior)
        return StepLoss(self._workers.all_reduce_number(share.subject), prior)

    def _validate(self, step: int) -> ValidationLoss | None:
        """The loss on the held-out pictures, where it is measured after this step, of the weights that would be
        written; with the blocks as they are without compiling, which would meet sizes of its own here.
        """
        if self._validation is None or not self._settings.validates_at(step):
            return None
        with self._execution.kernels.ready(step), self.written_weights(), self._model.whole():
            measured = self._validation.measure(step)
        if not math.isfinite(measured.loss):  # in float16 a picture may overflow: a mean of others says something else
            return None
        self._validations.append(measured)
        self._tell_overfitting()
        return measured

    def _tell_overfitting(self) -> None:
        """Once, where the loss has risen several times in a row."""
        times = [one.time for one in self._validations[-1].by_time]
        same = [one for one in self._validations if [by.time for by in one.by_time] == times]
        if self._workers.is_main and begins_to_overfit([one.loss for one in same]):
            first, last = same[-1 - RISES], same[-1]
            self._notice(
                f"The validation loss has risen {RISES} times in a row, from {first.loss:.4f} at step {first.step} to"
                f" {last.loss:.4f} at step {last.step}: a sign that the photos are learned by heart. The panel decides"
                " on likeness all the same; training.keep_checkpoints takes the best step by it."
            )

    def _update(self, rate: float) -> float:
        """Take the step that the gradients of all processes say; their norm."""
        self._left_out = 0
        self._model.fill_missing_gradients()
        self._workers.all_reduce(
            parameter.grad for parameter in self._model.parameters.values() if parameter.grad is not None
        )
        norm = self._optimizer.step(rate, self._scale.value)
        if self._settings.scale_weight_norms and math.isfinite(norm):
            self._model.limit_norms(self._settings.scale_weight_norms)
        return norm

    def _leave_out(self, step: int) -> float:
        """Pass over a step whose loss is no number: in float16 some pictures overflow on their way through the model,
        whatever the scale. It says nothing of the gradients, nor of the scale.
        """
        self._left_out += 1
        if not self._scale.is_used or self._left_out >= MOST_LEFT_OUT:
            raise TrainingDiverged(f"The loss is no longer a number at step {step}. {DIVERGED}")
        self._optimizer.clear()
        return math.nan

    def _adjust_scale(self, step: int, *, overflowed: bool) -> None:
        """After gradients that overflowed or not; float16 can be helped, others reach so far that the training is at
        fault.
        """
        if not overflowed:
            self._scale.held()
            return
        if not self._scale.can_fall:
            raise TrainingDiverged(f"The gradients are no longer numbers at step {step}. {DIVERGED}")
        self._scale.overflowed()

    def _watch_memory(self, step: int) -> None:
        if self._spilled or not self._spill.seen():
            return
        self._spilled = True
        again = self._execution.checkpointing.again_at(step)
        self._notice(
            "The training takes more memory than the GPU has; its driver uses main memory, which is many times slower. "
            + ("" if again else 'Stop it and go on with "training": {"gradient_checkpointing": true}, or start anew: ')
            + ("Lower" if again else "lower") + " training.batch_size or training.resolution."
        )  # fmt: skip

    def _gradients(self, step: int) -> StepLoss:
        """Gradients of a step, taken in another way when it fails (`StepExecution.remedy`); this process's share of the
        loss, which may be no number.

        Raises:
            as PyTorch does when a single picture does not fit.
        """
        while True:
            self._model.recompute(self._execution.checkpointing.again_at(step))
            try:
                with self._execution.ready(step):
                    return self._accumulate(step)
            except failures() as error:
                remedy = self._execution.remedy(step, error, self._settings.effective_batch)
                if not remedy:
                    raise
            # outside of the except block, whose traceback would hold the tensors
            self._optimizer.clear()
            release_memory()
            self._notice(remedy)

    def _accumulate(self, step: int) -> StepLoss:
        """Add the gradients of the subject's pictures and of the prior images; this process's share of the loss."""
        settings = self._settings
        loss = self._backward(self._data.subject.step(step), settings.seed, step, 1.0)
        if self._data.prior is None:
            return StepLoss(loss)
        seed = derive_seed(settings.seed, "prior")
        return StepLoss(loss, self._backward(self._data.prior.step(step), seed, step, settings.prior_weight))

    def _backward(self, batches: Sequence[Batch], seed: int, step: int, weight: float) -> float:
        """Add the weighted gradients of this process's part of a step's pictures, one micro-batch after the other; its
        share of the loss, which is not weighted.
        """
        shapes = [tuple(batch.latents.shape) for batch in batches]
        count, size = sum(shape[0] for shape in shapes), self._execution.micro_batches.at(step)
        loss, before = 0.0, 0
        first, end = self._workers.share(count)
        noises = draw_noise(self.noise, shapes, self._settings.noise_offset, seed, step, MoreNoise.of(self._settings))
        for batch, drawn in zip(batches, noises, strict=True):
            here = len(drawn.times)
            last = min(end - before, here)
            for start in range(max(first - before, 0), last, size):
                stop = min(start + size, last)
                share = weight * (stop - start) / count
                self._model.thin(seed, step, range(before + start, before + stop))
                for term in self._objective.terms(batch.part(start, stop), drawn.part(start, stop)):
                    torch.autograd.backward(term * (share * self._scale.value))
                    # after the backward pass was queued: reading a number waits for the GPU
                    loss += (stop - start) / count * float(term.detach())
            before += here
        return loss
