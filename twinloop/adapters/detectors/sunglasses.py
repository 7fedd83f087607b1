"""Dark lenses: a mesh draws open eyes behind them, so the pixels are asked as well."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from twinloop.domain.faces import FloatArray, ImageArray

_EYES = ((33, 133, 50), (263, 362, 280))
"""Per eye: outer corner, inner corner, and a point on the cheek below it."""
LIDS = ((33, 160, 158, 133, 153, 144), (263, 387, 385, 362, 380, 373))
"""Mesh points of each eye's rim in order: outer corner, two of the upper lid, inner corner, two of the lower lid."""
_FOREHEAD = 151
BORDER = 0.15
"""Eye region over skin, in median grey, below which nothing but a lens is so dark. On 60x64 studio portraits lenses
gave 0.00-0.09 and bare eyes 0.46-0.94; deep shadow on ordinary photos goes down to about 0.2
(``bench/real_detector_choices.py``)."""
SHADE_BORDER, WHITE_BORDER = 0.23, 0.255
"""A lens that mirrors the sky is as bright as a shaded eye, but has no white of the eye in it: below the first border
the brightest part between the lids decides. Lenses gave 0.11-0.22 there, shaded bare eyes 0.29 and more."""
_SOFTNESS = 0.02


@dataclass(frozen=True)
class EyeLight:
    """Grey of the brighter eye over that of the brightest of cheeks and forehead.

    Attributes:
        region: median of the eye with its lids. white: ninth decile between the lids, where the white of an eye is.
    """

    region: float
    white: float


def eye_light(image: ImageArray, points: FloatArray) -> EyeLight | None:
    """How bright the eyes are.

    Args:
        points: the 478 mesh points (N, 2) in pixels. None when the face is outside the image or too small or dark to
            tell.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    regions: list[float | None] = []
    whites: list[float | None] = []
    skin: list[float | None] = []
    for eye, lids in zip(_EYES, LIDS, strict=True):
        outer, inner, cheek = eye
        width = _width(points, eye)
        regions.append(_median(grey, (points[outer] + points[inner]) / 2, 0.6 * width))
        whites.append(_bright(grey, points[list(lids)]))
        skin.append(_median(grey, points[cheek], 0.35 * width))
        skin.append(_median(grey, points[_FOREHEAD], 0.4 * width))
    region, white, brightest = (_most(found) for found in (regions, whites, skin))
    if region is None or white is None or brightest is None or brightest < 20:
        return None
    return EyeLight(region / brightest, white / brightest)


def lenses(light: EyeLight) -> float:
    """Probability-like 0..1 that dark lenses hide the eyes."""
    dark = _below(light.region, BORDER)
    return max(dark, min(_below(light.region, SHADE_BORDER), _below(light.white, WHITE_BORDER)))


def _below(value: float, border: float) -> float:
    """0..1, 0.5 at the border."""
    return 1.0 / (1.0 + math.exp(max(-30.0, min(30.0, (value - border) / _SOFTNESS))))


def _most(values: list[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _width(points: FloatArray, eye: tuple[int, int, int]) -> float:
    return float(np.linalg.norm(points[eye[0]] - points[eye[1]]))


def _median(grey: npt.NDArray[Any], center: FloatArray, reach: float) -> float | None:
    x, y = float(center[0]), float(center[1])
    top, bottom = max(0, round(y - 0.7 * reach)), round(y + 0.7 * reach) + 1
    left, right = max(0, round(x - reach)), round(x + reach) + 1
    patch = grey[top : max(bottom, 0), left : max(right, 0)]
    return float(np.median(patch)) if patch.size else None


def _bright(grey: npt.NDArray[Any], rim: FloatArray) -> float | None:
    """Ninth decile of the pixels inside ``rim`` (N, 2)."""
    low = np.floor(rim.min(axis=0)).astype(int)
    width, height = np.ceil(rim.max(axis=0)).astype(int) - low + 1
    left, top = max(0, int(low[0])), max(0, int(low[1]))
    patch = grey[top : max(0, int(low[1] + height)), left : max(0, int(low[0] + width))]
    if patch.size == 0:
        return None
    inside = np.zeros(patch.shape, np.uint8)
    cv2.fillConvexPoly(inside, np.round(rim - [left, top]).astype(np.int32), 1)
    values = patch[inside > 0]
    return float(np.percentile(values, 90)) if values.size else None
