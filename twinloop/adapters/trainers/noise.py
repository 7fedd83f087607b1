"""The diffusion loss: noise, targets and weights, from the base model's own scheduler settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from twinloop.domain.shots import derive_seed
from twinloop.errors import ModelFileError


@dataclass(frozen=True, eq=False)
class StepNoise:
    """Time steps (n,) and noise (n, c, h, w) of one step, float32 on the CPU."""

    times: Tensor
    noise: Tensor


def draw_noise(shape: tuple[int, ...], steps: int, offset: float, seed: int, step: int) -> StepNoise:
    """Noise that depends on (seed, step) only.

    Time steps are even over 0..``steps``-1, one from each of n equal ranges, so that the loss of a small batch varies less.
    ``offset`` adds one value per picture and channel.
    """
    generator = torch.Generator("cpu").manual_seed(derive_seed(seed, "noise", step))
    count = shape[0]
    places = (
        torch.randperm(count, generator=generator) + torch.rand(count, generator=generator, dtype=torch.float64)
    ) / count
    noise = torch.randn(shape, generator=generator)
    if offset:
        noise = noise + offset * torch.randn(*shape[:2], 1, 1, generator=generator)
    return StepNoise((places * steps).long().clamp(0, steps - 1), noise)


class NoiseSchedule:
    """Signal and noise of each time step.

    Args:
        config: of the base model's scheduler (its betas and prediction type are read).

    Raises:
        ModelFileError: a prediction type that this trainer does not know.
    """

    def __init__(self, config: Any) -> None:
        scheduler: Any = DDPMScheduler.from_config(config)
        kept = scheduler.alphas_cumprod.double()
        self.prediction = str(scheduler.config.prediction_type)
        if self.prediction not in ("epsilon", "v_prediction"):
            raise ModelFileError(
                f"This base model predicts '{self.prediction}'; training knows epsilon and v_prediction. Choose another base_model."
            )
        self._signal, self._noise = kept.sqrt().float(), (1 - kept).sqrt().float()
        self._snr = (kept / (1 - kept)).float()

    @property
    def steps(self) -> int:
        return len(self._snr)

    def noisy(self, clean: Tensor, drawn: StepNoise) -> tuple[Tensor, Tensor]:
        """Latents with noise, and what the denoiser should answer."""
        signal = self._signal[drawn.times][:, None, None, None].to(clean)
        level = self._noise[drawn.times][:, None, None, None].to(clean)
        noise = drawn.noise.to(clean)
        wanted = noise if self.prediction == "epsilon" else signal * noise - level * clean
        return signal * clean + level * noise, wanted

    def weights(self, times: Tensor, gamma: float) -> Tensor:
        """(n,) weights of the squared error by time step (min-SNR, arXiv 2303.09556).

        epsilon: min(snr, gamma) / snr, which is 1 where there is no signal at all; v: min(snr, gamma) / (snr + 1). ``gamma`` 0: all 1.
        """
        snr = self._snr[times]
        if gamma <= 0:
            return torch.ones_like(snr)
        least = snr.clamp(max=gamma)
        if self.prediction == "v_prediction":
            return torch.as_tensor(least / (snr + 1))
        return torch.where(snr > 0, least / snr.clamp(min=1e-12), 1.0)
