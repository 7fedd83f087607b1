"""Networks that turn an aligned face into an identity vector: MobileFaceNet, SFace, InsightFace's ArcFace
(`domain.embedders`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from twinloop.adapters.detectors.imaging import similarity, square_crop
from twinloop.adapters.detectors.onnx_model import OnnxModel
from twinloop.adapters.embedders.vector import unit
from twinloop.domain.embedders import EMBEDDERS, TEMPLATE, FaceEmbedder, embedder_of
from twinloop.domain.faces import Face, FloatArray, ImageArray
from twinloop.domain.likeness import Likeness
from twinloop.errors import ModelFileError

SIZE = 112
_LEAST_SIDE = 16
_VERSION = 2


def aligned(image: ImageArray, face: Face) -> ImageArray:
    """The face as a square RGB crop with its landmarks at the template; without landmarks a plain square crop."""
    if face.landmarks is None:
        return square_crop(image, face.box, 0.1, SIZE)
    matrix = similarity(face.landmarks, np.array(TEMPLATE, dtype=np.float32))
    image, matrix = _not_much_larger(image, matrix)
    return np.asarray(cv2.warpAffine(image, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR), dtype=np.uint8)


def _not_much_larger(image: ImageArray, matrix: FloatArray) -> tuple[ImageArray, FloatArray]:
    """What a warp by ``matrix`` shows, in a picture less than twice as fine as the crop, and the matrix from there.

    A warp looks at four pixels for each of its own: of a much finer picture it would pass most over, and let noise
    through.
    """
    times = int(1 / max(float(np.hypot(*matrix[:, 0])), 1e-6))
    if times < 2:
        return image, matrix
    corners = np.array([[[0, 0], [SIZE, 0], [0, SIZE], [SIZE, SIZE]]], np.float32)
    there = cv2.transform(corners, cv2.invertAffineTransform(matrix))[0]
    size = np.array(image.shape[1::-1])
    low = np.clip(there.min(axis=0) - times, 0, size - 1).astype(int)
    high = np.clip(there.max(axis=0) + times, low + 1, size).astype(int)
    small = Image.fromarray(image[low[1] : high[1], low[0] : high[0]]).reduce(times)
    x, y = low + (times - 1) / 2  # the middle of the pixels that became the first one
    back = np.array([[times, 0, x], [0, times, y], [0, 0, 1]])
    return np.asarray(small, np.uint8), np.asarray(matrix @ back, np.float32)


def tensor_of(crop: ImageArray, kind: FaceEmbedder) -> FloatArray:
    """(1, 3, SIZE, SIZE) float32: the crop as the network was trained on it."""
    mean, std = np.array(kind.mean, dtype=np.float32), np.array(kind.std, dtype=np.float32)
    scaled = (crop.astype(np.float32) / np.float32(kind.divide) - mean) / std
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


class AlignedFaceEmbedder:
    """Identity vectors. What kind of network it is, its content tells where that is known, else its name.

    Args:
        path: an ONNX file, 1x3xSxS in, 1xD out.

    Raises:
        ModelFileError: no network of a known kind.
    """

    def __init__(self, path: Path) -> None:
        self._model = OnnxModel.open(path)
        kind = embedder_of(path.name, self._model.sha256)
        if kind is None:
            names = ", ".join(kind.name for kind in EMBEDDERS)
            raise ModelFileError(f"{path.name}: no face embedder is known by this name. Known: {names}.")
        self.kind = kind
        self._check()

    @property
    def fingerprint(self) -> str:
        return f"{self.kind.key}{_VERSION}-{self._model.fingerprint}"

    @property
    def likeness(self) -> Likeness:
        return self.kind.likeness

    def embed(self, image: ImageArray, face: Face) -> FloatArray | None:
        """(D,) float32 of unit norm; None for a face under 16 pixels or a vector without length."""
        if min(face.box.width, face.box.height) < _LEAST_SIDE:
            return None
        pixels = tensor_of(aligned(image, face), self.kind)
        return unit(np.ravel(next(iter(self._model.run(pixels).values()))))

    def _check(self) -> None:
        """Raises ModelFileError: other inputs or outputs than this kind of network has."""
        what = f"a network of the kind {self.kind.name}"
        self._model.expect(1, 1, what)
        (taken,), (made,) = self._model.inputs.values(), self._model.made.values()
        wanted = (None, 3, SIZE, SIZE)
        if not _fits(taken, wanted):
            raise ModelFileError(
                f"{self._model.source}: not {what}: its input is {_shape(taken)}, expected {_shape(wanted)}"
            )
        length = made[1] if len(made) > 1 else None
        if self.kind.dimensions is not None and isinstance(length, int) and length != self.kind.dimensions:
            raise ModelFileError(
                f"{self._model.source}: not {what}: its vectors have {length} numbers, expected {self.kind.dimensions}"
            )


def _fits(shape: Sequence[object], wanted: Sequence[int | None]) -> bool:
    """Whether a shape is the wanted one as far as both say numbers."""
    pairs = zip(shape, wanted, strict=False)
    return len(shape) == len(wanted) and all(not isinstance(n, int) or w in (None, n) for n, w in pairs)


def _shape(shape: Sequence[object]) -> str:
    return "x".join(str(n) if isinstance(n, int) else "N" for n in shape)
