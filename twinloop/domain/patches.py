"""A square cut around a face, and its redrawn copy pasted back with a soft, elliptical edge.

Nothing outside of the ellipse changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twinloop.domain.faces import Box, FloatArray, ImageArray

SOFT_FROM = 0.7
"""Share of the ellipse's half axes from which the redrawn pixels fade out."""
NARROW = 0.85
"""Width of the ellipse over its height: a head is narrower than tall."""
COARSE = 0.15
"""Of the square's side: the radius of the blur under which the copy has the colours of what it replaces. Models shift
tones, and a plain background would show it as a halo."""


@dataclass(frozen=True)
class Patch:
    """Where a face is cut out, and where its copy goes.

    Attributes:
        left, top, side: of the square, in whole pixels, inside of the picture.
        center: of the ellipse (x, y), in pixels of the picture. axes: its half axes (across, down). As much of it as
            lies in the picture lies in the square.
    """

    left: int
    top: int
    side: int
    center: tuple[float, float]
    axes: tuple[float, float]

    def cut(self, picture: ImageArray) -> ImageArray:
        """The square's pixels: (side, side, 3) of a picture (H, W, 3)."""
        return picture[self.top : self.top + self.side, self.left : self.left + self.side]

    def weights(self) -> FloatArray:
        """(side, side): 1 where the copy counts alone, 0 from the ellipse's edge outwards, smooth in between."""
        across = (np.arange(self.side) + 0.5 + self.left - self.center[0]) / self.axes[0]
        down = (np.arange(self.side) + 0.5 + self.top - self.center[1]) / self.axes[1]
        distance = np.sqrt(across[None, :] ** 2 + down[:, None] ** 2)
        rest = np.clip((1.0 - distance) / (1.0 - SOFT_FROM), 0.0, 1.0)
        return np.asarray(rest * rest * (3.0 - 2.0 * rest), np.float32)

    def pasted(self, picture: ImageArray, copy: ImageArray) -> ImageArray:
        """The picture (H, W, 3) with ``copy`` (side, side, 3) in the ellipse, its coarse colours as they were;
        ``picture`` itself stays as it is.
        """
        old = self.cut(picture).astype(np.float64)
        new = np.clip(copy - _blurred(copy - old, COARSE * self.side), 0, 255)
        weight = self.weights()[:, :, None]
        whole = picture.copy()
        self.cut(whole)[:] = np.rint(old * (1.0 - weight) + new * weight).astype(np.uint8)
        return whole


def _blurred(values: npt.NDArray[np.float64], radius: float) -> npt.NDArray[np.float64]:
    """(n, n, channels) under a Gaussian of that radius in pixels; at the edges, of what is there."""
    places = np.arange(len(values))
    near = np.exp(-0.5 * ((places[:, None] - places[None, :]) / radius) ** 2)
    near /= near.sum(axis=1, keepdims=True)
    return np.stack([near @ channel @ near.T for channel in np.moveaxis(values, 2, 0)], axis=2)


def patch_around(face: Box, width: int, height: int, margin: float) -> Patch:
    """The square around a face in a picture of that size.

    Args:
        margin: side of the square as a multiple of the face box's longer side, where the picture has so much; at least
            1.
    """
    wanted = margin * max(face.width, face.height)
    side = max(1, min(round(wanted), width, height))
    x, y = face.center
    left, top = (min(max(round(middle - side / 2), 0), length - side) for middle, length in ((x, width), (y, height)))
    # one pixel less than half the side: the square was moved to whole pixels, the ellipse was not
    radius = max(side / 2 - 1.0, 0.5)
    return Patch(left, top, side, (x, y), (radius * NARROW, radius))
