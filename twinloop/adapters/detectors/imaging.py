"""Small geometry shared by the detectors. All points are (x, y) in pixels, x right, y down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from twinloop.domain.faces import Box, FloatArray, ImageArray


@dataclass(frozen=True)
class Letterbox:
    """How an image was fitted into a canvas: ``canvas = image * scale + (dx, dy)``."""

    scale: float
    dx: float
    dy: float

    def back(self, points: FloatArray) -> FloatArray:
        """Canvas points (..., 2) to image points."""
        return ((points - np.array([self.dx, self.dy], dtype=np.float32)) / self.scale).astype(np.float32)


def letterbox(image: ImageArray, width: int, height: int, fill: int) -> tuple[ImageArray, Letterbox]:
    """Fit ``image`` (HxWx3) centred into ``height`` x ``width``, keeping its shape, the rest in grey ``fill``."""
    rows, columns = image.shape[:2]
    scale = min(width / columns, height / rows)
    new_width, new_height = max(1, round(columns * scale)), max(1, round(rows * scale))
    resized = resize(image, new_width, new_height)
    canvas = np.full((height, width, 3), fill, dtype=np.uint8)
    top, left = (height - new_height) // 2, (width - new_width) // 2
    canvas[top : top + new_height, left : left + new_width] = resized
    return canvas, Letterbox(scale, left, top)


def resize(image: ImageArray, width: int, height: int) -> ImageArray:
    """Averages when shrinking, bicubic when growing."""
    if image.shape[1] == width and image.shape[0] == height:
        return image
    shrinking = width < image.shape[1]
    return np.asarray(
        cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC),
        dtype=np.uint8,
    )


def anchor_centers(grids: Sequence[tuple[int, int]]) -> FloatArray:
    """(N, 2) centres of a detector's anchors in shares of its input, in the order of its outputs.

    Args:
        grids: (cells per side, anchors per cell), the finest first.
    """
    blocks = []
    for cells, repeats in grids:
        axis = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        x, y = np.meshgrid(axis, axis)
        blocks.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), repeats, axis=0))
    return np.concatenate(blocks)


def sigmoid(logits: npt.NDArray[Any], limit: float = 60.0) -> FloatArray:
    """Logits to probabilities; beyond ``limit`` to either side nothing changes any more, and nothing overflows."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -limit, limit))), dtype=np.float32)


def keep_best(boxes: FloatArray, scores: FloatArray, overlap: float) -> list[int]:
    """Indices of the boxes (N, 4) that survive non-maximum suppression at IoU ``overlap``, best first."""
    order = np.argsort(-scores, kind="stable")
    areas = np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)
    kept: list[int] = []
    while order.size:
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        union = np.maximum(areas[best] + areas[rest] - shared, 1e-9)
        order = rest[shared / union <= overlap]
    return kept


@dataclass(frozen=True)
class RotatedCrop:
    """A square cut out of an image and turned upright.

    Attributes:
        center: in image pixels. side: image pixels. angle: radians, clockwise on screen, of the square's up direction.
    """

    center: tuple[float, float]
    side: float
    angle: float

    def _axes(self) -> FloatArray:
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.array([[cos, -sin], [sin, cos]], dtype=np.float32)

    def cut(self, image: ImageArray, size: int) -> ImageArray:
        """The crop as ``size`` x ``size`` pixels; outside the image it is black."""
        ratio = self.side / size
        if ratio > 2.0:  # shrink first where much is lost, or the warp would alias
            return self._shrunk(image, 1.0 / ratio, size)
        axes = self._axes() * np.float32(ratio)
        middle = np.array(self.center, dtype=np.float32) - axes @ np.full(2, size / 2, dtype=np.float32)
        matrix = np.concatenate([axes, middle[:, None]], axis=1)
        return np.asarray(
            cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP),
            dtype=np.uint8,
        )

    def _shrunk(self, image: ImageArray, factor: float, size: int) -> ImageArray:
        """The same crop from a smaller copy of the region that it touches."""
        reach = self.side * 0.75  # a little more than half the diagonal
        x, y = self.center
        left, top = max(0, int(x - reach)), max(0, int(y - reach))
        region = image[top : max(0, int(y + reach) + 1), left : max(0, int(x + reach) + 1)]
        if region.size == 0:
            return np.zeros((size, size, 3), dtype=np.uint8)
        small = resize(region, max(1, round(region.shape[1] * factor)), max(1, round(region.shape[0] * factor)))
        return RotatedCrop(((x - left) * factor, (y - top) * factor), self.side * factor, self.angle).cut(small, size)

    def to_image(self, points: FloatArray) -> FloatArray:
        """Points (N, 2) in shares of the crop (0..1) to image pixels."""
        offset = (points - 0.5) * np.float32(self.side)
        return (offset @ self._axes().T + np.array(self.center, dtype=np.float32)).astype(np.float32)


def similarity(source: FloatArray, target: FloatArray) -> FloatArray:
    """The 2x3 matrix of the least-squares similarity (turn, one scale, shift) that takes ``source`` to ``target``, both
    (N, 2).

    Umeyama 1991, without reflection.
    """
    mean_source, mean_target = source.mean(axis=0), target.mean(axis=0)
    a, b = (source - mean_source).astype(np.float64), (target - mean_target).astype(np.float64)
    u, spectrum, v = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(v)) or 1.0])
    rotation = (u * sign) @ v
    scale = float((spectrum * sign).sum() / max(float((a * a).sum()), 1e-9))
    shift = mean_target - scale * rotation @ mean_source
    return np.concatenate([scale * rotation, shift[:, None]], axis=1).astype(np.float32)


def square_crop(image: ImageArray, box: Box, margin: float, size: int) -> ImageArray:
    """The square around ``box`` grown by ``margin`` of its longer side, as ``size`` x ``size`` pixels."""
    side = max(box.width, box.height) * (1 + 2 * margin)
    return RotatedCrop(box.center, max(side, 1.0), 0.0).cut(image, size)
