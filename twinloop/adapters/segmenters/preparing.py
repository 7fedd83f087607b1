"""A picture as a segmentation network takes it, and its answer as a map of the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from twinloop.domain.faces import FloatArray, ImageArray
from twinloop.domain.segmenters import SegmenterKind

_STEP = 32
"""Sides of what a network of any size takes are multiples of it."""
_LEAST_RANGE = 1e-6


@dataclass(frozen=True, eq=False)
class Prepared:
    """What goes in.

    Attributes:
        tensor: (H, W, 3) float32. inside: (left, top, right, bottom) in pixels of it, where the picture is.
    """

    tensor: FloatArray
    inside: tuple[int, int, int, int]


def input_size(kind: SegmenterKind, width: int, height: int) -> tuple[int, int]:
    """(width, height) of what goes in for a picture of that size, where the file leaves it open."""
    if not kind.by_shorter:
        return kind.size
    reference = kind.size[0]
    if max(width, height) < reference or min(width, height) > reference:
        factor = reference / min(width, height)
        width, height = int(width * factor), int(height * factor)
    return max(_STEP, width - width % _STEP), max(_STEP, height - height % _STEP)


def prepared(image: ImageArray, kind: SegmenterKind, size: tuple[int, int]) -> Prepared:
    """A picture (uint8 HxWx3 RGB) at the size (width, height) of what goes in."""
    (width, height), picture = size, Image.fromarray(image)
    if kind.whole:
        factor = min(width / picture.width, height / picture.height)
        across, down = max(1, int(picture.width * factor)), max(1, int(picture.height * factor))
        left, top = (width - across) // 2, (height - down) // 2
        inside = (left, top, left + across, top + down)
    else:
        inside = (0, 0, width, height)
    fitted = picture.resize((inside[2] - inside[0], inside[3] - inside[1]), Image.Resampling.BILINEAR)
    colours = np.asarray(fitted, np.float32)
    colours = colours / (max(float(colours.max()), 1.0) if kind.brightest else 255.0)
    tensor = np.zeros((height, width, 3), np.float32)
    tensor[inside[1] : inside[3], inside[0] : inside[2]] = (colours - np.array(kind.mean, np.float32)) / np.array(
        kind.std, np.float32
    )
    return Prepared(tensor, inside)


def likely(answer: FloatArray, kind: SegmenterKind, inside: tuple[int, int, int, int]) -> FloatArray:
    """(h, w) of 0..1: how surely each part of the picture is the subject.

    What is stretched stays as it is where the network is sure of nothing: else its noise would become a subject.

    Args:
        answer: (H, W), of finite numbers. inside: as `Prepared` has it.
    """
    found = answer[inside[1] : inside[3], inside[0] : inside[2]].astype(np.float32)
    if kind.logits:
        found = 1.0 / (1.0 + np.exp(-found.clip(-60.0, 60.0)))
    low, high = float(found.min()), float(found.max())
    if kind.stretched and high >= 0.5 and high - low > _LEAST_RANGE:
        found = (found - low) / (high - low)
    return np.asarray(found.clip(0.0, 1.0), np.float32)
