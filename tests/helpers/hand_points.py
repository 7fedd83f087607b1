"""Landmarks of an open hand and what spoils it, for the tests."""

from __future__ import annotations

import numpy as np

from twinloop.domain.faces import Box, FloatArray, HandShape, Part

_ROOTS = ((-20, -25), (-25, -90), (-5, -95), (14, -90), (30, -78))
_LENGTHS = ((38, 32, 26), (40, 25, 20), (46, 28, 22), (42, 26, 21), (32, 20, 18))
_LEAN = (-0.8, -0.15, 0.0, 0.12, 0.3)


def open_hand(scale: float = 1.0) -> FloatArray:
    """(21, 2) pixels: fingers up, the palm about 95 long."""
    points = [(0.0, 0.0)]
    for (x, y), lengths, lean in zip(_ROOTS, _LENGTHS, _LEAN, strict=True):
        points.append((x, y))
        for length in lengths:
            x, y = x + length * np.sin(lean), y - length * np.cos(lean)
            points.append((x, y))
    return np.asarray(np.array(points) * scale + 200, np.float32)


def shaped_hand(
    points: FloatArray | None = None,
    *,
    confidence: float = 0.98,
    handedness: float = 0.99,
    presence: float = 0.95,
    spread: float = 0.03,
) -> Part:
    """A good hand unless told otherwise."""
    shape = HandShape(open_hand() if points is None else points, handedness, presence, spread)
    return Part("hand", Box(0, 80, 20, 100), confidence, shape)
