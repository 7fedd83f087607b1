"""The central disc of a picture, unrolled: mirroring reverses it and turning shifts it, so both can be searched for and
undone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Polar = npt.NDArray[np.float32]

RINGS, ANGLES = 24, 128
_RADIUS = 32
"""Pixels of the disc's radius when it is read."""
_GROUPS, _ORDERS = 8, 8
_REACH = 19
"""Angles of the moving mean that is taken off: 53 degrees."""
_WEIGHTS = np.sqrt(np.arange(RINGS, dtype=np.float32) + 0.5)[:, None]
"""Outer rings are longer."""
FLAT = 3.0
"""Standard deviation along the rings, in grey levels, under which a disc looks the same from all sides."""


@dataclass(frozen=True)
class Turn:
    """How one disc best lies over another. ``degrees``: -180..180, clockwise. score: correlation of details, -1..1."""

    score: float
    mirrored: bool
    degrees: float


def unrolled(picture: Image.Image) -> Polar:
    """(rings, angles) float32 grey values of the largest disc in the middle of a picture."""
    width, height = picture.size
    scale = 2 * _RADIUS / min(width, height)
    size = (max(2 * _RADIUS, round(width * scale)), max(2 * _RADIUS, round(height * scale)))
    values = np.asarray(picture.resize(size, Image.Resampling.LANCZOS), np.float32)
    radius = (np.arange(RINGS) + 0.5)[:, None] / RINGS * (_RADIUS - 1)
    angle = 2 * np.pi * np.arange(ANGLES) / ANGLES
    y, x = (size[1] - 1) / 2 + radius * np.sin(angle), (size[0] - 1) / 2 + radius * np.cos(angle)
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    down, right = y - top, x - left
    upper = values[top, left] * (1 - right) + values[top, left + 1] * right
    lower = values[top + 1, left] * (1 - right) + values[top + 1, left + 1] * right
    return np.asarray(upper * (1 - down) + lower * down, np.float32)


def disc_hash(polar: Polar) -> int | None:
    """64 bits that stay the same when the picture is mirrored or turned: how strong each order of symmetry is on each
    ring, against the average of that order and of that ring. None = the disc looks the same from all sides."""
    if float((polar - polar.mean(1, keepdims=True)).std()) < FLAT:
        return None
    strength = np.abs(np.fft.rfft(polar, axis=1)).reshape(_GROUPS, RINGS // _GROUPS, -1).mean(1)
    logs = np.log1p(strength[:, 1 : 1 + _ORDERS])
    logs = logs - logs.mean(0)[None, :] - logs.mean(1)[:, None] + logs.mean()
    return int(np.packbits(logs.ravel() > 0).tobytes().hex(), 16)


def best_turn(a: Polar, b: Polar) -> Turn:
    """The turn, mirrored or not, under which the details of ``b`` best lie over those of ``a``."""
    details = _details(a)
    upright, mirrored = _details(b), _details(b[:, (ANGLES // 2 - np.arange(ANGLES)) % ANGLES])
    return max((_turn(details, upright, False), _turn(details, mirrored, True)), key=lambda turn: turn.score)


def _details(polar: Polar) -> Polar:
    padded = np.concatenate([polar[:, -(_REACH // 2) :], polar, polar[:, : _REACH // 2]], axis=1)
    sums = np.cumsum(np.pad(padded, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    return np.asarray((polar - (sums[:, _REACH:] - sums[:, :-_REACH]) / _REACH) * _WEIGHTS, np.float32)


def _turn(a: Polar, b: Polar, mirrored: bool) -> Turn:
    """Circular correlation over all angles at once; between two of them the peak is sought on a finer grid."""
    product = (np.fft.rfft(a, axis=1) * np.conj(np.fft.rfft(b, axis=1))).sum(0)
    finer = 4
    values = np.fft.irfft(product, n=ANGLES * finer) * finer
    peak = int(values.argmax())
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    degrees = (360.0 * peak / (ANGLES * finer) + 180.0) % 360.0 - 180.0
    return Turn(float(values[peak]) / size if size > 0 else 0.0, mirrored, degrees)
