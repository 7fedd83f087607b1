"""Train a LoRA with diffusers and PEFT: cached latents and captions, steps that depend on (seed, step) only, resume to the same bytes.

On one machine, device and thread count a training that was killed and started again writes the same file as one that was not. The
thread count of the first start is kept in the work folder for that reason. On a GPU this holds as far as its kernels sum in a fixed order.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch

from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.base_model import BaseModel, open_base
from twinloop.adapters.diffusion.framing import remark_on_sizes
from twinloop.adapters.diffusion.long_prompts import remark_on_captions
from twinloop.adapters.diffusion.loras.writing import write_lora
from twinloop.adapters.diffusion.memory import memory_errors
from twinloop.adapters.diffusion.regions import TRAINED, pays
from twinloop.adapters.diffusion.repeatability import repeatable, threads
from twinloop.adapters.trainers.activations import ACTIVATIONS, Activations
from twinloop.adapters.trainers.adapted import AdaptedModel, adapted, is_small
from twinloop.adapters.trainers.adapter_plan import AdapterPlan
from twinloop.adapters.trainers.assistant import assistant_of
from twinloop.adapters.trainers.batches import Batches, texts_to_embed
from twinloop.adapters.trainers.cache import CacheSettings, TrainingCache, at_every_size
from twinloop.adapters.trainers.checkpoints import Checkpoints
from twinloop.adapters.trainers.compiled import COMPILED, CompiledBlocks
from twinloop.adapters.trainers.dropout import Dropout
from twinloop.adapters.trainers.kernels import KERNELS, Kernels
from twinloop.adapters.trainers.logs import keep_log, open_metrics
from twinloop.adapters.trainers.noise import schedule_for
from twinloop.adapters.trainers.optimizer import check_optimizer
from twinloop.adapters.trainers.planning import forecast, memory_plan
from twinloop.adapters.trainers.portions import PORTIONS, Portions
from twinloop.adapters.trainers.preflight import check_fits
from twinloop.adapters.trainers.record import TrainingRecord, inputs_hash, open_record
from twinloop.adapters.trainers.running import Progress, TrainingData, TrainingRun
from twinloop.adapters.trainers.schedule import SCHEDULES
from twinloop.adapters.trainers.start_file import start_of
from twinloop.adapters.trainers.text_encoders import check_text_encoder_training
from twinloop.adapters.trainers.texts import length_texts, lora_texts, quantized_texts
from twinloop.adapters.trainers.warm_start import begin_from
from twinloop.adapters.trainers.ways import Ways
from twinloop.adapters.trainers.workers import Workers
from twinloop.domain.forecast import Forecast, MemoryPlan
from twinloop.domain.records import LoRA, TrainingSample
from twinloop.domain.shots import derive_seed
from twinloop.errors import InputError, NothingToDo
from twinloop.families.base import Family
from twinloop.ports import TrainingSettings, nobody_listens


class DiffusersLoraTrainer:
    """A `Trainer` on a local diffusers model.

    Args:
        notice: called with what the user should know while a training goes on.

    Raises:
        MissingModel, InputError, ModelFileError, OutOfMemory: each with what to do.
    """

    def __init__(self, choice: BaseChoice, family: Family, notice: Callable[[str], None] = nobody_listens) -> None:
        self._choice, self._family, self._notice = choice, family, notice
        self._fingerprint = f"diffusers-lora-{self._open().fingerprint}"

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def _open(self) -> BaseModel:
        """The base model, loaded anew where another one was opened in between."""
        return open_base(self._choice, self._family)

    def train(
        self,
        samples: Sequence[TrainingSample],
        settings: TrainingSettings,
        output: Path,
        work: Path,
        metadata: Mapping[str, str],
        progress: Progress,
    ) -> LoRA:
        """Write ``output``, its kohya copy ``<stem>_kohya.safetensors`` and its figures ``<stem>.metrics.jsonl``.

        Raises:
            NothingToDo: no sample with a weight. InputError: settings this trainer does not know. OutOfMemory.
            MissingExtra: an optimizer or a place for figures whose library is not installed.
            TrainingDiverged: the loss is no longer a number. UnreadableImage, StateError: a photo is damaged, gone or changed.
        """
        return self.train_with(Workers(), samples, settings, output, work, metadata, progress)

    def train_with(
        self, workers: Workers, samples: Sequence[TrainingSample], settings: TrainingSettings, output: Path, work: Path,
        metadata: Mapping[str, str], progress: Progress,
    ) -> LoRA:  # fmt: skip
        """`train`, as one of the processes that share it; the main one writes."""
        usable = [sample for sample in samples if sample.weight > 0]
        if not any(not sample.prior for sample in usable):
            raise NothingToDo("There is no photo to train on. Add photos of the person to the dataset folder.")
        base = self._open()
        settings = applicable(settings, base)
        check(settings, base)
        start = start_of(settings, self._family)
        assistant = assistant_of(settings, base, self._notice)
        chunks = _chunks(base, [sample.caption for sample in usable], settings)
        metadata = {**length_texts(max(chunks)), **metadata}
        with workers.main_first():
            record = open_record(work, inputs_hash(usable, settings, self.fingerprint, metadata), self._notice)
        with threads(record.threads), repeatable(base.compute), memory_errors("Training", memory_advice(settings)):
            with workers.main_first():
                plan = memory_plan(base, settings, work, self._notice, math.lcm(*chunks))
                # several processes would each encode all; beside a training the encoding needs memory that a small GPU does not have
                lazily = workers.world_size == 1 and not is_small(base.compute)
                data = self._data(base, usable, settings, work, lazily)
            adapter = AdapterPlan.of(settings, self._family)
            with adapted(base, adapter, settings.seed, checkpointing=plan.checkpointing) as model:
                if start is not None:
                    begin_from(start, model)
                run = TrainingRun(
                    base, model, data, settings, self._ways(base, settings, plan, work, workers), work,
                    lambda done: open_metrics(work, done, settings, record.inputs, self._notice), self._notice, workers,
                )  # fmt: skip
                with nullcontext() if assistant is None else assistant.worn(base.denoiser):
                    loss = run.finish(progress)
                if not workers.is_main:
                    return self._lora(output, settings, loss, "")
                keep_log(work, output)
                with run.average.applied():
                    return self._export(
                        model, settings, output, record, len(usable), metadata, loss, run.noise.prediction
                    )

    def steps_done(self, work: Path) -> int:
        return Checkpoints(work).last_step

    def make_room(self) -> None:
        """Leave the GPU to other processes that train."""
        self._open().make_room()

    def forecast(
        self, settings: TrainingSettings, images: int, prior_images: int = 0, captions: Sequence[str] = ()
    ) -> Forecast | None:
        """What a training on so many images, and so many of others of the class, will need here; None where it cannot be told.

        Args:
            captions: of the images, where they are known; else they are taken for short ones.
        """
        base = self._open()
        base.lora.use(None)
        try:
            return forecast(base, settings, images, prior_images, math.lcm(*_chunks(base, captions, settings)))
        except (RuntimeError, NotImplementedError):  # a denoiser that looks into its numbers
            return None

    def _ways(
        self, base: BaseModel, settings: TrainingSettings, plan: MemoryPlan, work: Path, workers: Workers
    ) -> Ways:
        def path(name: str) -> Path:
            return work / name.format(workers.rank)

        return Ways(
            Portions(path(PORTIONS), plan.portion),
            Activations(path(ACTIVATIONS), settings.gradient_checkpointing, plan.checkpointing),
            self._blocks(base, settings, path(COMPILED)),
            Kernels(base.compute, path(KERNELS)),
        )

    def _blocks(self, base: BaseModel, settings: TrainingSettings, path: Path) -> CompiledBlocks:
        # where nobody asked: PEFT's DoRA and LoKr layers fall into pieces that are compiled one by one, which gains nothing
        pictures = settings.steps * settings.effective_batch if settings.adapter == "lora" else 0
        wanted = pays(settings.compile, base.compute, pictures, TRAINED)
        if wanted and Dropout.of(settings):  # what is left out changes from step to step; a compiler may keep the first
            wanted = False
            self._notice("The blocks are not compiled in a training with dropout.")
        return CompiledBlocks(base.regions, path, wanted, self._notice)

    def _data(
        self, base: BaseModel, samples: Sequence[TrainingSample], settings: TrainingSettings, work: Path, lazily: bool
    ) -> TrainingData:
        prior = [sample for sample in samples if sample.prior]
        subject = self._prepare(base, [sample for sample in samples if not sample.prior], settings, work, lazily)
        if not prior:
            return TrainingData(subject)
        others = replace(
            settings,
            seed=derive_seed(settings.seed, "prior"),
            caption_dropout=0.0,
            face_weight=1.0,
            output_preservation=0.0,
        )
        return TrainingData(subject, self._prepare(base, prior, others, work, lazily))

    def _prepare(
        self,
        base: BaseModel,
        samples: Sequence[TrainingSample],
        settings: TrainingSettings,
        work: Path,
        lazily: bool = False,
    ) -> Batches:
        preset = self._family.presets.get(settings.preset)
        base.lora.use(None)
        buckets = preset is None or preset.aspect_buckets
        sides = (settings.resolution, *sorted(settings.smaller_resolutions, reverse=True))
        caches = [
            TrainingCache(work / "cache", base, CacheSettings(side, base.bucket_step, buckets, settings.flip))
            for side in sides
        ]
        # first, while the denoiser may still lie in main memory: text encoders can be as large, and a GPU need not hold both
        words = caches[0].embeddings(texts_to_embed([sample.caption for sample in samples], settings))
        if remark := remark_on_captions(base.prompts, samples):
            self._notice(remark)
        base.offload("none")
        sizes = [cache.prepare(samples, lazily=lazily) for cache in caches]
        if remark := remark_on_sizes([sample.framing for sample in sizes[0]], settings.resolution, base.bucket_step):
            self._notice(remark)
        prepared, weights = at_every_size(sizes, [sample.weight for sample in samples])
        return Batches(
            prepared, words, weights, settings, base.compute.device,
            joining=self._family.joining, true_sizes=preset is None or preset.true_sizes,
        )  # fmt: skip

    def _export(
        self, model: AdaptedModel, settings: TrainingSettings, output: Path, record: TrainingRecord, images: int,
        metadata: Mapping[str, str], loss: float, prediction: str,
    ) -> LoRA:  # fmt: skip
        given = {**quantized_texts(self._choice.quantization), **metadata}
        texts = lora_texts(settings, self._family, prediction, images, record.date, given)
        data = write_lora(output, model.weights(torch.float16), self._family, texts)
        return self._lora(output, settings, loss, hashlib.sha256(data).hexdigest())

    def _lora(self, output: Path, settings: TrainingSettings, loss: float, sha256: str) -> LoRA:
        return LoRA(
            str(output),
            0,
            sha256,
            self._choice.base,
            "",
            settings.preset,
            settings.last_step,
            settings.seed,
            round(loss, 6),
        )


def _chunks(base: BaseModel, captions: Sequence[str], settings: TrainingSettings) -> set[int]:
    """In how many chunks (`families.clip`) the texts of a training are read."""
    return {base.prompts.chunks(text) for text in texts_to_embed(captions, settings)}


def memory_advice(settings: TrainingSettings) -> str:
    """What to do where a single picture does not fit."""
    lower = "lower training.resolution or training.rank, or use training.optimizer adafactor; the training then begins anew."
    if settings.gradient_checkpointing is False:
        return f"Set training.gradient_checkpointing to null or true: the training goes on from its last checkpoint. If that is too little, {lower}"
    return lower[0].upper() + lower[1:]


def applicable(settings: TrainingSettings, base: BaseModel) -> TrainingSettings:
    """The settings without those that mean nothing for the base: signal-to-noise weights for a flow, a noise offset where it has no use."""
    noise = schedule_for(base.family, base.scheduler_config)
    gamma = 0.0 if base.family.flow else settings.min_snr_gamma
    return replace(settings, min_snr_gamma=gamma, noise_offset=settings.noise_offset if noise.takes_offset else 0.0)


def check(settings: TrainingSettings, base: BaseModel) -> None:
    """Whether these settings can be used here; asked before anything long starts.

    Raises:
        InputError, MissingExtra: the first that cannot, with the next step.
    """
    if settings.schedule not in SCHEDULES:
        raise InputError(f"training.schedule: unknown schedule '{settings.schedule}'. Known: {', '.join(SCHEDULES)}.")
    check_optimizer(settings.optimizer, base.compute.device, settings.optimizer_args)
    check_fits(settings, base.family)
    if settings.text_encoder:
        check_text_encoder_training(settings, base.family)
