"""eDifFIQA (Babnik, Peer and Struc 2024): how well a face can be recognised, as one number, by an aligned crop of it.

Read as the OpenCV model zoo publishes it (``ediffiqa_tiny_*.onnx``): 1x3x112x112 RGB of -1..1 in, one number out. The
zoo's own demo aligns by five landmarks to the points of the ArcFace family (`twinloop.domain.embedders.TEMPLATE`). The
number is a regression, about 0..1 without being held there, and no limit of it is known: it is compared with that of
real photos (`twinloop.stages.usual_quality`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from twinloop.adapters.detectors.onnx_model import OnnxModel
from twinloop.adapters.embedders.aligned_face import SIZE, aligned
from twinloop.domain.faces import Face, ImageArray
from twinloop.errors import ModelFileError

_LEAST_SIDE = 16
_VERSION = 2


class EDifFiqa:
    """Reads ``face_quality`` off the subject's face.

    Args:
        path: an eDifFIQA ONNX file, of any of its sizes.

    Raises:
        ModelFileError: not such a model.
    """

    covers = frozenset({"face_quality"})

    def __init__(self, path: Path) -> None:
        self._model = OnnxModel.open(path)
        self._model.expect(1, 1, "an eDifFIQA")
        (blank,) = self._model.run(np.zeros((1, 3, SIZE, SIZE), np.float32)).values()
        if blank.size != 1:
            raise ModelFileError(f"{path.name}: not an eDifFIQA: it gives {blank.size} numbers for a face, expected 1")

    @property
    def fingerprint(self) -> str:
        return f"ediffiqa{_VERSION}-{self._model.fingerprint}"

    def measure(self, image: ImageArray, face: Face | None) -> Mapping[str, float]:
        """``face_quality``, 0..1; nothing without a face, for one under 16 pixels, or where the number is none."""
        if face is None or min(face.box.width, face.box.height) < _LEAST_SIDE:
            return {}
        pixels = aligned(image, face).astype(np.float32) / 127.5 - 1.0
        (score,) = self._model.run(pixels.transpose(2, 0, 1)[None]).values()
        quality = float(score.reshape(()))
        return {"face_quality": min(1.0, max(0.0, quality))} if np.isfinite(quality) else {}
