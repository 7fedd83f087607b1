"""Photos that are small for a base model: told, and counted, before a training begins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from twinloop.config import Settings
from twinloop.domain.choices import FAKE
from twinloop.ports import TrainingSettings
from twinloop.wiring.kits import base_family

if TYPE_CHECKING:
    from twinloop.adapters.diffusion.framing import Framing

_VAE_SCALE = 8
_LEVELS = 4
"""By how much the denoiser of a U-Net halves latents: SDXL's three levels."""
_AS_LARGE = 0.9
"""Share of the resolution squared from which pictures count as of that size: buckets round down."""


def remark_on_photos(settings: Settings, training: TrainingSettings, sizes: Sequence[tuple[int, int]]) -> str:
    """What the training will say of photos of these sizes (width, height); "" = nothing.

    The base model need not be here: the step of its sizes is that of its family.
    """
    if settings.base_model == FAKE or settings.training.trainer != "builtin" or not sizes:
        return ""
    from twinloop.adapters.diffusion.framing import remark_on_sizes

    framings, step = _framings(settings, training, sizes)
    return remark_on_sizes(framings, training.resolution, step)


def share_of_pixels(settings: Settings, training: TrainingSettings, sizes: Sequence[tuple[int, int]]) -> float:
    """How large the pictures of the training are, as a share of its resolution squared, at most 1; 1 = not known."""
    if settings.base_model == FAKE or not sizes:
        return 1.0
    framings, _ = _framings(settings, training, sizes)
    pixels = sum(framing.width * framing.height for framing in framings) / len(framings)
    share = pixels / training.resolution**2
    return share if share < _AS_LARGE else 1.0


def _framings(
    settings: Settings, training: TrainingSettings, sizes: Sequence[tuple[int, int]]
) -> tuple[list[Framing], int]:
    """How the photos are brought to their sizes, and the step of those."""
    from twinloop.adapters.diffusion.framing import frame

    family = base_family(settings)
    preset = family.presets.get(training.preset)
    buckets = preset is None or preset.aspect_buckets
    halved = _VAE_SCALE * _LEVELS if family.denoiser == "unet" else 1
    step = math.lcm(family.size_multiple, _VAE_SCALE * family.patch, halved)
    return [frame(*size, training.resolution, step, buckets=buckets) for size in sizes], step
