"""Dark lenses: a mesh draws open eyes behind them, so the pixels are asked as well."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from twinloop.domain.faces import FloatArray, ImageArray

#: Per eye: outer corner, inner corner, and a point on the cheek below it.
_EYES = ((33, 133, 50), (263, 362, 280))
_FOREHEAD = 151
BORDER = 0.15
"""Eye region over skin, in median grey. On 60x64 studio portraits lenses gave 0.00-0.09 and bare eyes 0.46-0.94
(``bench/real_detectors.py``); deep shadow on ordinary photos goes down to about 0.2, so the border lies below that."""
_SOFTNESS = 0.02


def eye_brightness(image: ImageArray, points: FloatArray) -> float | None:
    """Median grey of the brighter eye region over that of the brightest of cheeks and forehead.

    Args:
        points: the 478 mesh points (N, 2) in pixels. None when the face is outside the image or too small to tell.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    eyes, skin = [], []
    for outer, inner, cheek in _EYES:
        width = float(np.linalg.norm(points[outer] - points[inner]))
        eyes.append(_median(grey, (points[outer] + points[inner]) / 2, 0.6 * width))
        skin.append(_median(grey, points[cheek], 0.35 * width))
        skin.append(_median(grey, points[_FOREHEAD], 0.4 * width))
    seen_eyes = [value for value in eyes if value is not None]
    seen_skin = [value for value in skin if value is not None]
    if not seen_eyes or not seen_skin or max(seen_skin) < 20:
        return None
    return max(seen_eyes) / max(seen_skin)


def lenses(brightness: float) -> float:
    """Probability-like 0..1 that dark lenses hide the eyes; 0.5 at `BORDER`."""
    return 1.0 / (1.0 + math.exp(max(-30.0, min(30.0, (brightness - BORDER) / _SOFTNESS))))


def _median(grey: npt.NDArray[Any], center: FloatArray, reach: float) -> float | None:
    x, y = float(center[0]), float(center[1])
    top, bottom = max(0, round(y - 0.7 * reach)), round(y + 0.7 * reach) + 1
    left, right = max(0, round(x - reach)), round(x + reach) + 1
    patch = grey[top : max(bottom, 0), left : max(right, 0)]
    return float(np.median(patch)) if patch.size else None
