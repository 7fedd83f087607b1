"""Faults that generated faces have, put on good ones: the quality head learns from them what a smeared face is."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Points = NDArray[np.float32]


_TRIES, _VISIBLE, _SHARE = 4, 20, 0.06
"""A fault shows when this share of the middle changes by more than so many grey levels; else another one follows."""


def damaged(crop: Pixels, marks: Points, other: Pixels, rng: np.random.Generator) -> Pixels:
    """One or two faults on a face crop.

    Args:
        crop: (size, size, 3). marks: (n, 2) visible landmarks in pixels of the crop. other: another face's crop of the
            same size.
    """
    out, more = crop, rng.random() < 0.35
    for _ in range(_TRIES):
        kind = _KINDS[int(rng.integers(len(_KINDS)))] if len(marks) else _warped
        out = kind(out, marks, other, rng)
        if _changed(crop, out) and not more:
            break
        more = False
    return out


def _changed(crop: Pixels, out: Pixels) -> bool:
    """Whether the change shows in the middle of the crop, where the face is: on a plain cheek many faults do not."""
    size = crop.shape[0]
    middle = np.s_[size // 5 : size - size // 5, size // 5 : size - size // 5]
    gap = np.abs(out[middle].astype(np.int16) - crop[middle]).max(axis=2)
    return float((gap > _VISIBLE).mean()) > _SHARE


def _spot(size: int, center: Points, radius: float) -> NDArray[np.float32]:
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    away = np.hypot(columns - center[0], rows - center[1]) / radius
    return np.asarray(np.clip(1.6 - away, 0, 1), np.float32)[..., None]


def _mixed(a: Pixels, b: Pixels, mask: NDArray[np.float32] | float) -> Pixels:
    return np.asarray(a * (1 - mask) + b * mask + 0.5, np.float32).clip(0, 255).astype(np.uint8)


def _warped(crop: Pixels, marks: Points, other: Pixels, rng: np.random.Generator) -> Pixels:
    """An elastic warp."""
    size, cells = crop.shape[0], int(rng.integers(4, 9))
    spread = size * float(rng.uniform(0.035, 0.08))
    shift = rng.normal(0, spread, (cells, cells, 2)).astype(np.float32)
    field = cv2.resize(shift, (size, size), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    moved = cv2.remap(
        crop, columns + field[..., 0], rows + field[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.uint8)


def _smeared(crop: Pixels, marks: Points, other: Pixels, rng: np.random.Generator) -> Pixels:
    """The face, or a part of it, wiped in one direction."""
    size, length = crop.shape[0], int(rng.integers(7, 19))
    kernel = np.zeros((length, length), np.float32)
    turn = cv2.getRotationMatrix2D((length / 2 - 0.5, length / 2 - 0.5), float(rng.uniform(0, 180)), 1)
    kernel[length // 2] = 1
    kernel = np.asarray(cv2.warpAffine(kernel, turn, (length, length)), np.float32)
    wiped = np.asarray(cv2.filter2D(crop, -1, kernel / max(float(kernel.sum()), 1e-6)), np.uint8)
    center = marks.mean(0) + rng.normal(0, size * 0.06, 2)
    return _mixed(crop, wiped, _spot(size, center, size * float(rng.uniform(0.22, 0.4))))


def _erased(crop: Pixels, marks: Points, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Eyes or mouth melted into the skin around them."""
    size, out = crop.shape[0], crop
    soft = np.asarray(cv2.GaussianBlur(crop, (0, 0), size * float(rng.uniform(0.045, 0.09))), np.uint8)
    chosen = rng.permutation(len(marks))[: int(rng.integers(1, len(marks) + 1))]
    for index in chosen:
        out = _mixed(out, soft, _spot(size, marks[index], size * float(rng.uniform(0.07, 0.12))))
    return out


def _doubled(crop: Pixels, marks: Points, other: Pixels, rng: np.random.Generator) -> Pixels:
    """The face over itself, shifted."""
    size = crop.shape[0]
    angle, away = rng.uniform(0, 2 * np.pi), size * float(rng.uniform(0.06, 0.16))
    matrix = np.array([[1, 0, away * np.cos(angle)], [0, 1, away * np.sin(angle)]], np.float32)
    moved = np.asarray(cv2.warpAffine(crop, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    return _mixed(crop, moved, float(rng.uniform(0.35, 0.6)))


def _merged(crop: Pixels, marks: Points, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Two faces in one."""
    if rng.random() < 0.5:
        return _mixed(crop, other, float(rng.uniform(0.3, 0.6)))
    size = crop.shape[0]
    return _mixed(crop, other, _spot(size, marks[int(rng.integers(len(marks)))], size * float(rng.uniform(0.12, 0.25))))


def _moved(crop: Pixels, marks: Points, other: Pixels, rng: np.random.Generator) -> Pixels:
    """A feature copied to where it does not belong."""
    size, source = crop.shape[0], marks[int(rng.integers(len(marks)))]
    target = marks.mean(0) + rng.normal(0, size * 0.14, 2)
    shift = target - source
    if np.hypot(*shift) < size * 0.08:
        shift = shift + size * 0.12
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    copy = np.asarray(cv2.warpAffine(crop, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    return _mixed(crop, copy, _spot(size, source + shift, size * float(rng.uniform(0.07, 0.12))))


def _melted(crop: Pixels, marks: Points, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Detail lost inside the face while its outline stays sharp."""
    size = crop.shape[0]
    flat = np.asarray(cv2.medianBlur(crop, int(rng.choice((7, 9, 11, 13)))), np.uint8)
    return _mixed(crop, flat, _spot(size, marks.mean(0), size * float(rng.uniform(0.25, 0.4))))


_KINDS: tuple[Callable[[Pixels, Points, Pixels, np.random.Generator], Pixels], ...] = (
    _warped, _warped, _smeared, _erased, _doubled, _merged, _moved, _melted,
)  # fmt: skip
