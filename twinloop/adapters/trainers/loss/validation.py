"""The loss on held-out pictures, measured in the same way every time: what differs between two values is the LoRA."""

from __future__ import annotations

import torch
from torch import Tensor

from twinloop.adapters.trainers.data.prepare import ValidationPhotos
from twinloop.adapters.trainers.execution.process_group import Workers
from twinloop.adapters.trainers.loss.noise_schedule import Schedule, StepNoise
from twinloop.adapters.trainers.loss.objective import Objective
from twinloop.domain.shots import derive_seed
from twinloop.domain.validation_loss import TimeLoss, ValidationLoss

DIGITS = 6


class Validation:
    """Measures the validation loss.

    Each picture goes through alone, whatever the micro-batches are, with noise of its own at each time. The times are
    the middles of as many equal parts of the distribution that the training draws its times from. The noise depends on
    the picture's content and on the number of the time alone, so that trainings with other seeds can be compared, and
    comes from generators of its own: those of the training are as they were.

    Args:
        times: how many, for each picture. workers: share the pictures.
    """

    def __init__(
        self, photos: ValidationPhotos, objective: Objective, schedule: Schedule, times: int, workers: Workers
    ) -> None:
        self._photos, self._objective, self._schedule, self._workers = photos, objective, schedule, workers
        self._places = (torch.arange(times, dtype=torch.float64) + 0.5) / times

    def measure(self, step: int) -> ValidationLoss:
        """The losses with the weights as they are, which are those after ``step``."""
        count = len(self._photos.sha256)
        measured = torch.zeros(2, count, len(self._places), dtype=torch.float64)
        with torch.random.fork_rng(devices=()):  # PEFT's LoKr layers draw a number that they do not use
            for number in range(*self._workers.share(count)):
                measured[:, number] = self._of_picture(number)
        # of each place all processes but one have a zero: the sum is the number that one process would have
        times, losses = self._workers.all_reduce_numbers(measured).mean(dim=1)
        return ValidationLoss(
            step,
            tuple(
                TimeLoss(round(float(time)), round(float(loss), DIGITS))
                for time, loss in zip(times, losses, strict=True)
            ),
        )

    def _of_picture(self, number: int) -> Tensor:
        """(2, times): the times, and the loss at each."""
        batch = self._photos.batches.alone(number)
        shape = tuple(batch.latents.shape)
        times = self._schedule.times(self._places, shape)
        losses = []
        for place, time in enumerate(times):
            seed = derive_seed("validation", self._photos.sha256[number], place)
            noise = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))
            losses.append(self._objective.unweighted(batch, StepNoise(time[None], noise)))
        return torch.stack([times.double(), torch.cat(losses).cpu().double()])
