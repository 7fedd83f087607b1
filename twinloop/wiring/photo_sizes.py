"""Photos that are small for a base model, told before a training begins."""

from __future__ import annotations

import math
from collections.abc import Sequence

from twinloop.config import Settings
from twinloop.domain.choices import FAKE
from twinloop.ports import TrainingSettings
from twinloop.wiring.kits import base_family

_VAE_SCALE = 8
_LEVELS = 4
"""By how much the denoiser of a U-Net halves latents: SDXL's three levels."""


def remark_on_photos(settings: Settings, training: TrainingSettings, sizes: Sequence[tuple[int, int]]) -> str:
    """What the training will say of photos of these sizes (width, height); "" = nothing.

    The base model need not be here: the step of its sizes is that of its family.
    """
    if settings.base_model == FAKE or settings.training.trainer != "builtin" or not sizes:
        return ""
    from twinloop.adapters.diffusion.framing import frame, remark_on_sizes

    family = base_family(settings)
    preset = family.presets.get(training.preset)
    buckets = preset is None or preset.aspect_buckets
    halved = _VAE_SCALE * _LEVELS if family.denoiser == "unet" else 1
    step = math.lcm(family.size_multiple, _VAE_SCALE * family.patch, halved)
    framings = [frame(*size, training.resolution, step, buckets=buckets) for size in sizes]
    return remark_on_sizes(framings, training.resolution, step)
