"""What a picture will come to, read off one denoising step: the clean latents that the denoiser's answer stands for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def clean_latents(scheduler: Any, answer: Tensor, time: Any, noisy: Tensor) -> Tensor:
    """The scheduler's own x0, before its step is taken.

    Args:
        answer: the denoiser's, with guidance applied: noise (epsilon), velocity (v), the picture itself, or a flow.
            time: of the step.
        noisy: the latents that the denoiser was asked about, as the scheduler scales them. Any shape.
    """
    answer, noisy = answer.float(), noisy.float()
    # flow schedulers know nothing else and have no such setting
    kind = scheduler.config.get("prediction_type", "flow_prediction")
    if kind in ("sample", "original_sample"):
        return answer
    alpha, sigma, scale = _noise_level(scheduler, time)
    if kind == "flow_prediction":
        return noisy - sigma * answer
    noisy = noisy / scale
    if kind == "v_prediction":
        return alpha * noisy - sigma * answer
    return (noisy - sigma * answer) / alpha


def _noise_level(scheduler: Any, time: Any) -> tuple[Tensor, Tensor, Tensor]:
    """(alpha, sigma, scale): the latents at ``time`` are scale x (alpha x picture + sigma x noise), with alpha^2 +
    sigma^2 = 1 unless it is a flow.
    """
    one = torch.tensor(1.0)
    if not hasattr(scheduler, "sigmas"):
        kept = scheduler.alphas_cumprod[int(time)].float().cpu()
        return kept.sqrt(), (1 - kept).sqrt(), one
    if scheduler.step_index is None:
        scheduler._init_step_index(time)  # as its step would: some find their place in the schedule only there
    sigma = scheduler.sigmas[scheduler.step_index].float().cpu()
    if hasattr(scheduler, "_sigma_to_alpha_sigma_t"):
        return *scheduler._sigma_to_alpha_sigma_t(sigma), one
    if "prediction_type" not in scheduler.config:
        return 1 - sigma, sigma, one
    scale = (sigma**2 + 1).sqrt()
    return 1 / scale, sigma / scale, scale
