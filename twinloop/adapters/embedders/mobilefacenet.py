"""MobileFaceNet (Chen et al. 2018): 112x112 aligned face to a unit identity vector."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from twinloop.adapters.detectors.imaging import similarity, square_crop
from twinloop.adapters.detectors.onnx_model import OnnxModel
from twinloop.adapters.embedders.vector import unit
from twinloop.domain.faces import Face, FloatArray, ImageArray

SIZE = 112
#: Where the five landmarks go in the 112 px crop: the alignment that ArcFace-family nets are trained with.
TEMPLATE: FloatArray = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float32,
)
_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
_LEAST_SIDE = 16
_VERSION = 1
_STRANGERS = (0.017, 0.101)
"""Cosine between different people: 38,080 pairs of 35 LFW people (docs/log.md, bench/real_detectors.py)."""


def aligned(image: ImageArray, face: Face) -> ImageArray:
    """The face as 112x112x3 RGB with its landmarks at `TEMPLATE`; without landmarks a plain square crop."""
    if face.landmarks is None:
        return square_crop(image, face.box, 0.1, SIZE)
    matrix = similarity(face.landmarks, TEMPLATE)
    return np.asarray(cv2.warpAffine(image, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR), dtype=np.uint8)


class MobileFaceNet:
    """Identity vectors.

    Args:
        path: a MobileFaceNet ONNX file (1x3x112x112 in, 1xD out).

    Raises:
        ModelFileError: not such a model.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._model = OnnxModel.open(path, threads)
        self._model.expect(1, 1, "a MobileFaceNet")

    @property
    def fingerprint(self) -> str:
        return f"mobilefacenet{_VERSION}-{self._model.fingerprint}"

    @property
    def strangers(self) -> tuple[float, float] | None:
        return _STRANGERS

    def embed(self, image: ImageArray, face: Face) -> FloatArray | None:
        """(D,) float32 of unit norm; None for a face under 16 pixels or a vector without length."""
        if min(face.box.width, face.box.height) < _LEAST_SIDE:
            return None
        pixels = (aligned(image, face).astype(np.float32) / 255.0 - _MEAN) / _STD
        return unit(next(iter(self._model.run(pixels.transpose(2, 0, 1)[None]).values()))[0])
