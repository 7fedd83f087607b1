"""Crops of the nano detectors: the same geometry in training and in use."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from twinloop.domain.faces import ImageArray

FACE_MARGIN = 1.3
HEAD_MARGIN = 1.6


def face_square(x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float]:
    """Left, top and side (px) of the square around a face box."""
    side = FACE_MARGIN * max(x1 - x0, y1 - y0)
    return (x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side


def head_square(x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float]:
    """Left, top and side (px) of the square around the head with its hair: larger, and a little higher."""
    side = HEAD_MARGIN * max(x1 - x0, y1 - y0)
    return (x0 + x1 - side) / 2, (y0 + y1 - side) / 2 - 0.06 * side, side


def cut_square(image: ImageArray, left: float, top: float, side: float, size: int) -> ImageArray:
    """The square at ``size`` px; what lies outside the image repeats its border. Shrinking is smoothed first."""
    scale = size / side
    if scale < 1:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), max(0.3, 0.4 / scale)), np.uint8)
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], np.float32)
    return np.asarray(
        cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def letterbox_square(image: ImageArray, size: int) -> tuple[ImageArray, float, float, float]:
    """The whole image in a square of ``size`` px.

    Returns:
        the square; the scale; the left and top offset: x_square = x * scale + left.
    """
    height, width = image.shape[:2]
    scale = size / max(height, width)
    small = cv2.resize(
        image,
        (max(1, round(width * scale)), max(1, round(height * scale))),
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
    )
    left, top = (size - small.shape[1]) // 2, (size - small.shape[0]) // 2
    square: npt.NDArray[np.uint8] = np.full((size, size, 3), 114, np.uint8)
    square[top : top + small.shape[0], left : left + small.shape[1]] = small
    return square, scale, float(left), float(top)
