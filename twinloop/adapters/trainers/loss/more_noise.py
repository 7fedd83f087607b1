"""What sd-scripts adds to plain noise beside an offset: coarser noises, and noise that the denoiser is not told of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from twinloop.ports import TrainingSettings


@dataclass(frozen=True)
class MoreNoise:
    """What is added to the noise of each picture.

    Attributes:
        iterations, discount: ``multires_noise_iterations`` and ``multires_noise_discount``. gamma: ``ip_noise_gamma``.
    """

    iterations: int = 0
    discount: float = 0.0
    gamma: float = 0.0

    @classmethod
    def of(cls, settings: TrainingSettings) -> MoreNoise:
        return cls(settings.multires_noise_iterations, settings.multires_noise_discount, settings.ip_noise_gamma)


PLAIN = MoreNoise()


def with_coarser(noise: Tensor, more: MoreNoise, generator: torch.Generator) -> Tensor:
    """Noise (n, c, h, w) and as many coarser ones, brought back to a spread of 1 as one batch: sd-scripts'
    ``pyramid_noise_like``. Level n is (two to four, drawn anew) to the power n times as coarse: the first one, level 0,
    as fine as the noise itself.
    """
    count, channels, height, width = noise.shape
    for level in range(more.iterations):
        grain = (float(torch.rand(1, generator=generator)) * 2 + 2) ** level
        tall, wide = max(1, int(height / grain)), max(1, int(width / grain))
        coarse = torch.randn(count, channels, tall, wide, generator=generator)
        noise = noise + interpolate(coarse, (height, width), mode="bilinear") * more.discount**level
        if 1 in (tall, wide):
            break
    return noise / noise.std()
