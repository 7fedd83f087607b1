"""A tagger file that answers by the colour of its picture."""

from __future__ import annotations

import numpy as np

from twinloop.domain.faces import ImageArray


def coloured(red: int, green: int, blue: int) -> ImageArray:
    image = np.zeros((50, 50, 3), np.uint8)
    image[:] = (red, green, blue)
    return image
