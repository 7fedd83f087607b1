"""Photos of any size -> pictures of a few training sizes: aspect buckets, scaling, a crop around the face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from twinloop.domain.crops import start_around
from twinloop.domain.faces import Box, ImageArray

WIDEST = 2.0
"""Longest side over shortest side of a bucket."""


@dataclass(frozen=True)
class Framing:
    """How one photo becomes a training picture.

    Attributes:
        width, height: of the training picture. left, top: of the crop, in pixels after scaling.
        original: (width, height) of the photo.
    """

    width: int
    height: int
    left: int
    top: int
    scaled: tuple[int, int]
    original: tuple[int, int]

    @property
    def bucket(self) -> tuple[int, int]:
        return self.width, self.height

    def apply(self, image: ImageArray) -> ImageArray:
        """uint8 HxWx3 -> uint8 ``height`` x ``width`` x 3."""
        fitted = image
        if self.scaled != (image.shape[1], image.shape[0]):
            fitted = np.asarray(Image.fromarray(image).resize(self.scaled, Image.Resampling.LANCZOS), np.uint8)
        return np.ascontiguousarray(fitted[self.top : self.top + self.height, self.left : self.left + self.width])


def bucket_for(width: int, height: int, resolution: int, step: int) -> tuple[int, int]:
    """The training size nearest to a photo's aspect ratio, among the largest sizes of each shape, as SDXL's own buckets
    are.

    Sides are multiples of ``step``, the area is at most ``resolution`` squared, no side is more than `WIDEST` times the
    other.
    """
    area, side = resolution * resolution, max(step, resolution // step * step)
    shorts = range(step, side + 1, step)
    shapes = [(side, side)] + [(s, min(area // s, int(WIDEST * s)) // step * step) for s in shorts]
    wanted = math.log(max(width, height) / min(width, height))
    short, long = min(shapes, key=lambda shape: (abs(math.log(shape[1] / shape[0]) - wanted), -shape[0] * shape[1]))
    return (long, short) if width > height else (short, long)


def own_bucket(width: int, height: int, resolution: int, step: int) -> tuple[int, int]:
    """The training size of a photo that is smaller than its bucket: the largest one that needs no enlarging (kohya's
    ``bucket_no_upscale``).

    As in `bucket_for` for step, area and sides; a side shorter than ``step`` counts as ``step``.
    """
    short, long = (max(step, side // step * step) for side in sorted((width, height)))
    long = min(long, int(WIDEST * short) // step * step, max(step, resolution * resolution // short // step * step))
    return (long, short) if width > height else (short, long)


def cover(width: int, height: int, wide: int, tall: int, face: Box | None = None) -> Framing:
    """Scale a photo until it covers ``wide`` x ``tall``, then crop the middle, moved no further than until the face is
    in it.

    Args:
        face: in pixels of the photo; None = not known.
    """
    factor = max(wide / width, tall / height)
    scaled = max(wide, round(width * factor)), max(tall, round(height * factor))
    wanted = Box(0, 0, *scaled) if face is None else _scaled(face, scaled[0] / width, scaled[1] / height)
    left = start_around(0, scaled[0], wide, wanted.x0, wanted.x1)
    top = start_around(0, scaled[1], tall, wanted.y0, wanted.y1)
    return Framing(wide, tall, left, top, scaled, (width, height))


def _scaled(box: Box, across: float, down: float) -> Box:
    return Box(box.x0 * across, box.y0 * down, box.x1 * across, box.y1 * down)


def frame(width: int, height: int, resolution: int, step: int, *, buckets: bool, face: Box | None = None) -> Framing:
    """How a photo is brought to its bucket, or to the square of ``resolution``.

    A photo smaller than its bucket keeps about its own size: enlarged ones teach their blur. The square is that of a
    base which knows no other size, so smaller photos are enlarged to it.
    """
    if not buckets:
        side = max(step, resolution // step * step)
        return cover(width, height, side, side, face)
    wide, tall = bucket_for(width, height, resolution, step)
    if wide > width or tall > height:
        wide, tall = own_bucket(width, height, resolution, step)
    return cover(width, height, wide, tall, face)


def remark_on_sizes(framings: Sequence[Framing], resolution: int, step: int) -> str:
    """What the user should know of photos that are smaller than the pictures of the training; "" when none is."""
    enlarged = sum(framing.scaled[0] > framing.original[0] for framing in framings)
    square = frame(resolution, resolution, resolution, step, buckets=False).bucket
    small = [
        framing
        for framing in framings
        if framing.bucket not in (square, bucket_for(*framing.original, resolution, step))
    ]
    if enlarged:
        return (
            f"{enlarged} of {len(framings)} pictures are smaller than {resolution} px and are enlarged: this base model"
            " knows no other size."
        )
    if not small:
        return ""
    least = min(small, key=lambda framing: framing.width * framing.height)
    return (
        f"{len(small)} of {len(framings)} pictures are smaller than {resolution} x {resolution} and are trained at"
        f" their own size, not enlarged (the smallest at {least.width} x {least.height}). Larger photos teach more;"
        " where most are small, lower training.resolution."
    )
