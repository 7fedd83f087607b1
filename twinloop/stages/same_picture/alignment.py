"""Laying one small grey picture over another: the window of one that shows what the other shows.

NumPy and Pillow only.
"""

from __future__ import annotations

import io
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image

Grey = npt.NDArray[np.float32]
Window = tuple[float, float, float, float]
"""(x0, y0, x1, y1) as shares of width and height."""

WHOLE: Window = (0.0, 0.0, 1.0, 1.0)
SIDE = 64
"""Side in pixels at which pictures are compared; both are stretched to a square, so that a change of proportions does
not count."""
SMALLEST = 0.8
"""Least share of a side that a window keeps: more cut off than that is another picture."""
STEPS = {16: 3, 32: 3, 64: 2}
"""Side -> steps of the search there, from coarse to fine; a step at a side mends about a pixel of it."""


class Thumbnail:
    """A small grey picture in the sizes at which it is compared.

    Args:
        image: mode L.
    """

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self._whole: dict[int, Grey] = {}

    @classmethod
    def of(cls, data: bytes) -> Thumbnail:
        """From the catalogue's JPEG."""
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            image.draft("L", image.size)
            return cls(image.convert("L"))

    @cached_property
    def small(self) -> Image.Image:
        """Stretched to the side at which pictures are compared."""
        return self.image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)

    @cached_property
    def details(self) -> Grey:
        """(64, 64) of the whole picture."""
        return detail(self.whole(SIDE))

    def whole(self, side: int) -> Grey:
        """(side, side) float32, 0..255, of the whole picture."""
        if side not in self._whole:
            self._whole[side] = self.part(WHOLE, side)
        return self._whole[side]

    def part(self, window: Window, side: int = SIDE) -> Grey:
        """(side, side) float32, 0..255, of a window; the coarse ones come from the small picture."""
        source = self.image if side == SIDE else self.small
        return sampled(source, window, side)


def sampled(picture: Image.Image, window: Window, side: int) -> Grey:
    """(side, side) float32, 0..255, of a window of a grey picture."""
    width, height = picture.size
    box = (window[0] * width, window[1] * height, window[2] * width, window[3] * height)
    return np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS, box=box), np.float32)


def correlation(a: Grey, b: Grey) -> float:
    """Normalised correlation, -1..1; brightness and contrast do not count. 0.0 where one of them is flat."""
    return cosine(a - a.mean(), b - b.mean())


def cosine(a: Grey, b: Grey) -> float:
    """Of two arrays of one shape, -1..1; 0.0 where one of them is all zeros."""
    scale = float(np.sqrt(np.vdot(a, a) * np.vdot(b, b)))
    return float(np.vdot(a, b)) / scale if scale > 0 else 0.0


def detail(values: Grey, reach: int = 9) -> Grey:
    """What is left without the mean of the ``reach`` x ``reach`` pixels around each pixel: edges and texture, no light
    and shade.
    """
    padded = np.pad(values, reach // 2, mode="edge")
    sums = np.cumsum(np.cumsum(np.pad(padded, ((1, 0), (1, 0))), 0, dtype=np.float64), 1)
    total = sums[reach:, reach:] - sums[:-reach, reach:] - sums[reach:, :-reach] + sums[:-reach, :-reach]
    return np.asarray(values - total / reach**2, np.float32)


def moved(picture: Thumbnail, part: Thumbnail, window: Window, side: int) -> Window:
    """A better window of ``picture`` for what the whole of ``part`` shows, sought at one size.

    Gauss-Newton on position and size (Lucas and Kanade 1981), both pictures normalised at each step.
    """
    wanted = _normalised(part.whole(side))
    for _ in range(STEPS[side]):
        window = _step(window, _normalised(picture.part(window, side)), wanted)
    return window


def _step(window: Window, seen: Grey, wanted: Grey) -> Window:
    """The shift and scale under which ``seen`` best becomes ``wanted``, to first order."""
    side = len(seen)
    down, right = np.gradient(seen)
    place = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
    slopes = np.stack([right, down, right * place[None, :], down * place[:, None]]).reshape(4, -1) * side
    normal = slopes @ slopes.T + 1e-3 * np.eye(4, dtype=np.float32)  # a flat picture moves nowhere
    dx, dy, wider, higher = (float(value) for value in np.linalg.solve(normal, slopes @ (wanted - seen).ravel()))
    x0, x1 = _span(window[0], window[2], dx, wider)
    y0, y1 = _span(window[1], window[3], dy, higher)
    return (x0, y0, x1, y1)


def _span(low: float, high: float, shift: float, growth: float) -> tuple[float, float]:
    length = high - low
    center = (low + high) / 2 + shift * length
    length = min(1.0, max(SMALLEST, length * (1 + growth)))
    low = min(max(0.0, center - length / 2), 1.0 - length)
    return low, min(1.0, low + length)


def _normalised(values: Grey) -> Grey:
    return np.asarray((values - values.mean()) / (values.std() + 1e-6), np.float32)
