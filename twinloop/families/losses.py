"""What a family's denoiser is trained to predict, as data; the arithmetic is the trainer's."""

from __future__ import annotations

from dataclasses import dataclass

from twinloop.domain.choices import FlowSampling


@dataclass(frozen=True)
class DiffusionLoss:
    """Noise (epsilon) or velocity (v) over the betas of the base model's scheduler, which says which of the two."""


@dataclass(frozen=True)
class FlowLoss:
    """Rectified flow: latents (1 - s) x picture + s x noise, and the denoiser predicts noise - picture.

    Attributes:
        sampling: of s before the shift: ``uniform``, or ``logit_normal`` with ``mean`` and ``std`` (arXiv 2403.03206).
        shift: s becomes shift x s / (1 + (shift - 1) x s); None = as the base model's scheduler does it, by size where
            it does so.
    """

    sampling: FlowSampling = "logit_normal"
    mean: float = 0.0
    std: float = 1.0
    shift: float | None = None
