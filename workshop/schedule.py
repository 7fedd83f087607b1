"""Noise: the scheduler of the shipped folder, and how training draws its time steps."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor

SCHEDULER: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}
"""Zero terminal signal: the last step is pure noise, so that dark and bright pictures come out dark and bright."""


class TrainNoise:
    """Time steps around the middle of the noise range, where faces take their shape; some of every kind.

    ln(sigma) = ln(noise/signal) is drawn from a normal distribution; one step in eight is drawn evenly.
    """

    def __init__(self, mean: float = 0.0, spread: float = 1.1, even: float = 0.125) -> None:
        kept = DDIMScheduler(**SCHEDULER, clip_sample=False, set_alpha_to_one=False).alphas_cumprod.double()
        self.signal, self.noise = kept.sqrt().float(), (1 - kept).sqrt().float()
        self.log_sigma = 0.5 * ((1 - kept) / kept.clamp_min(1e-10)).log().float()
        self.mean, self.spread, self.even = mean, spread, even

    def times(self, count: int) -> Tensor:
        """(count,) time steps 0..999."""
        drawn = torch.searchsorted(self.log_sigma, torch.randn(count) * self.spread + self.mean)
        even = torch.randint(0, 1000, (count,))
        return torch.where(torch.rand(count) < self.even, even, drawn.clamp(0, 999))

    def noisy(self, clean: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Latents with noise, and the v they should make the model predict."""
        noise = torch.randn_like(clean)
        a, s = self.signal[times][:, None, None, None], self.noise[times][:, None, None, None]
        return a * clean + s * noise, a * noise - s * clean
