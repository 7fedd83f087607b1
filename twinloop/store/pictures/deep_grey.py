"""Greys of more than 8 bits, brought to 8."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from twinloop.store.pictures import tiffs

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels."""
_TOPS = {bits: float(2**bits - 1) for bits in (8, 15, 16, 24, 32)}
_STRIP = 1 << 20
"""Pixels that are computed with at a time."""


@dataclass(frozen=True)
class GreyScale:
    """What the numbers of a picture mean.

    Attributes:
        usual: white is the smallest of these that is no less than any number of the picture; else its highest number.
        white_is_zero: dark and bright are exchanged (16-bit ones are right already).
        unsigned: 32-bit numbers that Pillow takes for signed ones.
    """

    usual: tuple[float, ...]
    white_is_zero: bool = False
    unsigned: bool = False

    @classmethod
    def of(cls, image: Image.Image) -> GreyScale:
        """Of a picture as it was opened: turned, it no longer tells."""
        white_is_zero = tiffs.is_white_zero(image)
        if image.mode.startswith("I;16"):
            return cls((_TOPS[16],))
        if tiffs.is_signed_16(image):
            return cls((_TOPS[15],), white_is_zero)
        if tiffs.is_unsigned_32(image):
            return cls((_TOPS[8], _TOPS[16], _TOPS[24], _TOPS[32]), white_is_zero, unsigned=True)
        if image.mode == "I":
            return cls((_TOPS[8], _TOPS[16]), white_is_zero)
        return cls((1.0, _TOPS[8], _TOPS[16]), white_is_zero)


def is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"


def to_8_bits(image: Image.Image, scale: GreyScale) -> Image.Image:
    """16-bit ones are scaled by their format's range, so that exposure stays what it was; 32-bit ones do not say their
    range: it is the smallest usual one that holds them.
    """
    highest = max(float(_numbers(image, box, scale).max()) for box in strips(image))
    top = next((limit for limit in scale.usual if highest <= limit), highest)
    whole = Image.new("L", image.size)
    for box in strips(image):
        scaled = np.clip(_numbers(image, box, scale) / top * 255.0, 0, 255).astype(np.uint8)
        whole.paste(Image.fromarray(scaled), box)
    return ImageOps.invert(whole) if scale.white_is_zero else whole


def _numbers(image: Image.Image, box: Box, scale: GreyScale) -> npt.NDArray[np.float64]:
    part = np.asarray(image.crop(box))
    return np.nan_to_num((part.view(np.uint32) if scale.unsigned else part).astype(np.float64))


def strips(image: Image.Image) -> Iterator[Box]:
    """Whole rows, one strip below the other: what is computed with a large picture needs many times its memory."""
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(top + rows, image.height)
