"""What one training step sees: latents, words and sizes, stacked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from twinloop.adapters.diffusion.framing import Framing
from twinloop.adapters.diffusion.prompts import Embedding
from twinloop.adapters.trainers.cache import PreparedSample
from twinloop.adapters.trainers.schedule import SampleSchedule
from twinloop.ports import TrainingSettings


@dataclass(frozen=True, eq=False)
class Batch:
    """(n, c, h, w) clean latents, (n, tokens, width) words, (n, width) pooled words, (n, 6) sizes; float32 on the training device."""

    latents: Tensor
    words: Tensor
    pooled: Tensor
    time_ids: Tensor


class Batches:
    """The batches of a training, a pure function of the step.

    Args:
        true_sizes: whether the sizes tell each photo's real size and crop, or always those of a whole picture.
    """

    def __init__(
        self, samples: Sequence[PreparedSample], words: Mapping[str, Embedding], weights: Sequence[float], settings: TrainingSettings,
        device: torch.device, *, true_sizes: bool,
    ) -> None:  # fmt: skip
        self._samples, self._words, self._device, self._true_sizes = samples, words, device, true_sizes
        self._schedule = SampleSchedule(
            weights, [sample.framing.bucket for sample in samples], batch=settings.batch_size, seed=settings.seed,
            flip=settings.flip, dropout=settings.caption_dropout,
        )  # fmt: skip

    def batch(self, step: int) -> Batch:
        """The batch of a step, from 1."""
        draw = self._schedule.draw(step)
        chosen = [self._samples[number] for number in draw.samples]
        latents = [
            sample.mirror if mirrored and sample.mirror is not None else sample.latents
            for sample, mirrored in zip(chosen, draw.mirrored, strict=True)
        ]
        texts = [
            self._words["" if wordless else sample.caption]
            for sample, wordless in zip(chosen, draw.wordless, strict=True)
        ]
        sizes = [time_ids(sample.framing, true_sizes=self._true_sizes) for sample in chosen]
        return Batch(
            self._ready(torch.stack(latents)),
            self._ready(torch.cat([text.words for text in texts])),
            self._ready(torch.cat([text.pooled for text in texts])),
            self._ready(torch.tensor(sizes)),
        )

    def _ready(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._device, torch.float32)


def time_ids(framing: Framing, *, true_sizes: bool) -> tuple[float, ...]:
    """SDXL's size conditioning: original height and width, top and left of the crop, target height and width."""
    target = (framing.height, framing.width)
    if not true_sizes:
        return tuple(map(float, (*target, 0, 0, *target)))
    width, height = framing.original
    return tuple(map(float, (height, width, framing.top, framing.left, *target)))
