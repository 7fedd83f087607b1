"""How often the validation loss is measured, and on how many of the held-out photos."""

from __future__ import annotations

import math
from dataclasses import dataclass

MOST_PHOTOS = 12
MOST, LEAST = 10, 3
"""Validations of a training where nothing else is asked for; with fewer than the least there is no curve to read."""
PICTURES_PER_PASS = 10
"""One pass forward for so many pictures that the steps see: as a step takes a picture forward and back, all of them are
at most a twentieth of the training."""


@dataclass(frozen=True)
class ValidationPlan:
    """Of one training.

    Attributes:
        every: after so many steps, and after the last; 0 = never. photos: on so many of those that are held out.
    """

    every: int
    photos: int

    def passes(self, steps: int, times: int) -> int:
        """Passes forward of all validations, each at so many times."""
        return math.ceil(steps / self.every) * self.photos * times if self.every else 0


def usual_validations(steps: int, pictures: int, times: int, held_out: int) -> ValidationPlan:
    """As often as it costs little.

    Args:
        pictures: that a step sees. held_out: photos that are there to measure on.
    """
    photos = min(held_out, MOST_PHOTOS)
    count = min(MOST, steps, steps * pictures // (PICTURES_PER_PASS * photos * times)) if photos else 0
    # a training of few steps has no room for three
    return ValidationPlan(math.ceil(steps / count), photos) if count >= LEAST else ValidationPlan(0, 0)
