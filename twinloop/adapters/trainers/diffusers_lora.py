"""Train a LoRA with diffusers and PEFT: cached latents and captions, steps that depend on (seed, step) only, resume to the same bytes.

On one machine, device and thread count a training that was killed and started again writes the same file as one that was not. The
thread count of the first start is kept in the work folder for that reason. On a GPU this holds as far as its kernels sum in a fixed order.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from twinloop.adapters.diffusion.base_model import BaseModel, open_base
from twinloop.adapters.diffusion.compute import memory_errors, repeatable, threads
from twinloop.adapters.diffusion.lora_export import write_lora
from twinloop.adapters.trainers.adapted import AdaptedDenoiser, adapted
from twinloop.adapters.trainers.batches import Batches
from twinloop.adapters.trainers.cache import CacheSettings, TrainingCache
from twinloop.adapters.trainers.checkpoints import Checkpoints
from twinloop.adapters.trainers.noise import NoiseSchedule, draw_noise
from twinloop.adapters.trainers.optimizer import Optimizer
from twinloop.adapters.trainers.record import TrainingRecord, inputs_hash, open_record
from twinloop.adapters.trainers.schedule import learning_rate
from twinloop.adapters.trainers.texts import lora_texts
from twinloop.domain.records import LoRA, TrainingSample
from twinloop.errors import InputError, NothingToDo, TrainingDiverged
from twinloop.families.base import Family
from twinloop.ports import TrainingSettings

Progress = Callable[[int, int, float], None]
LOSS = "loss"
SMOOTH = 0.95
SCHEDULES = ("cosine", "constant")


class DiffusersLoraTrainer:
    """A `Trainer` on a local diffusers model.

    Args:
        base: folder, single ``.safetensors`` file or hub id. device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        MissingModel, InputError, ModelFileError, OutOfMemory: each with what to do.
    """

    def __init__(self, base: str, family: Family, *, device: str = "auto", allow_download: bool = False) -> None:
        self._name = base
        self._family = family
        self._open: Callable[[], BaseModel] = lambda: open_base(base, family, device, allow_download)
        self._fingerprint = f"diffusers-lora-{self._open().fingerprint}"

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def train(
        self,
        samples: Sequence[TrainingSample],
        settings: TrainingSettings,
        output: Path,
        work: Path,
        metadata: Mapping[str, str],
        progress: Progress,
    ) -> LoRA:
        """Write ``output`` and its kohya copy ``<stem>_kohya.safetensors``.

        Raises:
            NothingToDo: no sample with a weight. InputError: settings this trainer does not know. OutOfMemory.
            TrainingDiverged: the loss is no longer a number. UnreadableImage, StateError: a photo is damaged, gone or changed.
        """
        usable = [sample for sample in samples if sample.weight > 0]
        if not usable:
            raise NothingToDo("There is no photo to train on. Add photos of the person to the dataset folder.")
        if settings.schedule not in SCHEDULES:
            raise InputError(
                f"training.schedule: unknown schedule '{settings.schedule}'. Known: {', '.join(SCHEDULES)}."
            )
        base = self._open()
        record = open_record(work, inputs_hash(usable, settings, self.fingerprint, metadata))
        advice = "Lower training.batch_size (1 needs least), then training.resolution and training.rank."
        with threads(record.threads), repeatable(base.compute), memory_errors("Training", advice):
            batches = self._prepare(base, usable, settings, work)
            with adapted(base, self._family.targets, settings.rank, settings.alpha, settings.seed) as denoiser:
                run = _Run(base, denoiser, batches, settings, Checkpoints(work))
                loss = run.finish(progress)
                return self._export(
                    denoiser, settings, output, record, len(usable), metadata, loss, run.noise.prediction
                )

    def _prepare(
        self, base: BaseModel, samples: Sequence[TrainingSample], settings: TrainingSettings, work: Path
    ) -> Batches:
        preset = self._family.presets.get(settings.preset)
        base.lora.use(None)
        step = math.lcm(base.bucket_step, self._family.size_multiple)
        cache = TrainingCache(
            work / "cache",
            base,
            CacheSettings(settings.resolution, step, preset is None or preset.aspect_buckets, settings.flip),
        )
        prepared = cache.prepare(samples)
        words = cache.embeddings([sample.caption for sample in samples])
        weights = [sample.weight for sample in samples]
        return Batches(
            prepared, words, weights, settings, base.compute.device, true_sizes=preset is None or preset.true_sizes
        )

    def _export(
        self, denoiser: AdaptedDenoiser, settings: TrainingSettings, output: Path, record: TrainingRecord, images: int,
        metadata: Mapping[str, str], loss: float, prediction: str,
    ) -> LoRA:  # fmt: skip
        texts = lora_texts(settings, self._family, prediction, images, record.date, metadata)
        data = write_lora(output, denoiser.weights(torch.float16), texts)
        return LoRA(
            str(output),
            0,
            hashlib.sha256(data).hexdigest(),
            self._name,
            "",
            settings.preset,
            settings.steps,
            settings.seed,
            round(loss, 6),
        )


class _Run:
    """One training in memory: take up the newest checkpoint, then step to the end."""

    def __init__(
        self,
        base: BaseModel,
        denoiser: AdaptedDenoiser,
        batches: Batches,
        settings: TrainingSettings,
        checkpoints: Checkpoints,
    ) -> None:
        self._compute = base.compute
        self._denoiser, self._batches, self._settings, self._checkpoints = denoiser, batches, settings, checkpoints
        self._optimizer = Optimizer(denoiser.parameters, settings.optimizer)
        self.noise = NoiseSchedule(base.pipeline.scheduler.config)
        self._smooth = torch.zeros(1, dtype=torch.float64)

    def finish(self, progress: Progress) -> float:
        """Train up to the last step; returns the smoothed loss."""
        settings = self._settings
        for step in range(self._resume() + 1, settings.steps + 1):
            loss = self._step(step)
            self._smooth = self._smooth * SMOOTH + loss * (1 - SMOOTH) if step > 1 else self._smooth + loss
            if step % settings.checkpoint_every == 0 or step == settings.steps:
                self._checkpoints.save(step, {**self._optimizer.state(), LOSS: self._smooth})
            progress(step, settings.steps, float(self._smooth))
        return float(self._smooth)

    def _resume(self) -> int:
        kept = self._checkpoints.newest()
        if kept is None:
            return 0
        self._smooth = kept.tensors[LOSS]
        self._optimizer.restore(kept.tensors)
        return kept.step

    def _step(self, step: int) -> float:
        settings = self._settings
        batch = self._batches.batch(step)
        drawn = draw_noise(tuple(batch.latents.shape), self.noise.steps, settings.noise_offset, settings.seed, step)
        noisy, wanted = self.noise.noisy(batch.latents, drawn)
        times = drawn.times.to(self._compute.device)
        made = self._denoiser(noisy, times, batch.words, batch.pooled, batch.time_ids)
        weights = self.noise.weights(drawn.times, settings.min_snr_gamma).to(self._compute.device)
        loss = ((made - wanted).square().mean(dim=(1, 2, 3)) * weights).mean()
        value = _finite(loss, step)
        torch.autograd.backward(loss * self._compute.loss_scale)
        rate = learning_rate(step, settings.steps, settings.learning_rate, settings.warmup_steps, settings.schedule)
        self._optimizer.step(rate, self._compute.loss_scale)
        return value


def _finite(loss: Tensor, step: int) -> float:
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingDiverged(
            f"The loss is no longer a number at step {step}. Lower training.learning_rate and start again; the last checkpoint before it is kept."
        )
    return value
