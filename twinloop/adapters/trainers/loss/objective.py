"""What a training minimises, term by term."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from twinloop.adapters.trainers.data.batches import Batch
from twinloop.adapters.trainers.lora.adapted_model import AdaptedModel
from twinloop.adapters.trainers.loss.huber import errors, thresholds
from twinloop.adapters.trainers.loss.noise_schedule import Schedule, StepNoise
from twinloop.ports import TrainingSettings


class Objective:
    """The loss of some pictures with some noise.

    The denoiser's error, squared or as `settings.loss` has it, weighted by time and by place; and, where wanted, how
    far the LoRA moves the base's own answer to the class word (differential output preservation, as ai-toolkit calls
    it): the word next to the trigger keeps its meaning, without a single picture of the class.
    """

    def __init__(self, denoiser: AdaptedModel, schedule: Schedule, settings: TrainingSettings) -> None:
        self._denoiser, self._schedule, self._settings = denoiser, schedule, settings

    def terms(self, batch: Batch, drawn: StepNoise) -> Iterator[Tensor]:
        """Scalars that add up to the loss.

        Each has a graph of its own, so that one backward pass at a time keeps memory low.
        """
        noisy, wanted = self._schedule.noisy(batch.latents, drawn)
        times = drawn.times.to(batch.latents.device)
        errors = self._by_picture(batch, drawn, noisy, wanted)
        settings = self._settings
        debiased = settings.debiased_estimation_loss
        weights = self._schedule.weights(drawn.times, settings.min_snr_gamma, debiased=debiased).to(errors)
        yield (errors * weights).mean()
        del errors
        if batch.class_words is not None:
            with torch.no_grad(), self._denoiser.without_lora():
                base_answer = self._denoiser(noisy, times, batch.class_words, batch.sizes)
            words = self._denoiser.encode(batch.class_texts, batch.class_words)
            answer = self._denoiser(noisy, times, words, batch.sizes)
            yield settings.output_preservation * (answer - base_answer).square().mean()

    def unweighted(self, batch: Batch, drawn: StepNoise) -> Tensor:
        """(n,) error of each picture, weighted by place and not by time; without a graph."""
        with torch.no_grad():
            return self._by_picture(batch, drawn, *self._schedule.noisy(batch.latents, drawn))

    def _by_picture(self, batch: Batch, drawn: StepNoise, noisy: Tensor, wanted: Tensor) -> Tensor:
        """(n,) error of each picture, weighted by place."""
        words = self._denoiser.encode(batch.texts, batch.words)
        times = drawn.times.to(batch.latents.device)
        error = self._errors(self._denoiser(noisy, times, words, batch.sizes) - wanted, drawn.times)
        if batch.mask is not None:
            error = error * batch.mask
        return error.mean(dim=(1, 2, 3))

    def _errors(self, difference: Tensor, times: Tensor) -> Tensor:
        settings = self._settings
        if settings.loss == "l2":
            return errors("l2", difference)
        ratio = self._schedule.noise_ratio(times)
        how = settings.huber_schedule_of(flow=ratio is None)
        return errors(settings.loss, difference, thresholds(how, settings.huber_c, times, ratio))
