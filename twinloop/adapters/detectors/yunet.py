"""YuNet face detector (Wu et al.

2023, "YuNet: a tiny millisecond-level face detector"), as the OpenCV model zoo publishes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from twinloop.adapters.detectors.imaging import Letterbox, keep_best, letterbox
from twinloop.adapters.detectors.onnx_model import Array, OnnxModel
from twinloop.domain.faces import Box, Face, FloatArray, ImageArray
from twinloop.errors import ModelFileError

STRIDES = (8, 16, 32)
SIDES = (320, 640)
"""Longer side of the searched image in pixels: the small one finds faces that fill the frame, the large one finds small
faces."""
_CONFIDENCE = 0.5
"""Least score, 0..1. Profiles score lower than frontal faces: it is modest."""
_OVERLAP = 0.3
_VERSION = 1


@dataclass(frozen=True)
class Candidates:
    """Decoded boxes (N, 4), landmarks (N, 5, 2) in pixels and scores (N,)."""

    boxes: FloatArray
    landmarks: FloatArray
    scores: FloatArray


def decode(outputs: Mapping[str, Array], columns: Mapping[int, int]) -> Candidates:
    """Turn YuNet's raw heads into pixels of the network's input.

    Args:
        outputs: ``cls_S``, ``obj_S`` (1, N, 1), ``bbox_S`` (1, N, 4), ``kps_S`` (1, N, 10) for each stride S.
        columns: stride -> number of grid columns.
    """
    boxes, points, scores = [], [], []
    for stride in STRIDES:
        box, point = outputs[f"bbox_{stride}"][0], outputs[f"kps_{stride}"][0].reshape(-1, 5, 2)
        cells = np.arange(len(box))
        grid = np.stack([cells % columns[stride], cells // columns[stride]], axis=1).astype(np.float32)
        center = (grid + box[:, :2]) * stride
        half = np.exp(np.minimum(box[:, 2:], 8.0)) * stride / 2
        boxes.append(np.concatenate([center - half, center + half], axis=1))
        points.append((point + grid[:, None]) * stride)
        both = np.clip(outputs[f"cls_{stride}"][0, :, 0], 0, 1) * np.clip(outputs[f"obj_{stride}"][0, :, 0], 0, 1)
        scores.append(np.sqrt(both))
    return Candidates(np.concatenate(boxes), np.concatenate(points), np.concatenate(scores))


class YuNet:
    """Finds faces with five landmarks. Small images are enlarged, so that a 60x64 portrait works.

    Args:
        path: a YuNet ONNX file with dynamic or fixed input size.

    Raises:
        ModelFileError: the file is not a YuNet.
    """

    def __init__(self, path: Path) -> None:
        self._model = OnnxModel.open(path)
        wanted = {f"{head}_{stride}" for head in ("cls", "obj", "bbox", "kps") for stride in STRIDES}
        if set(self._model.outputs) != wanted:
            raise ModelFileError(f"{path.name}: not a YuNet face detector (its outputs have other names)")
        height = next(iter(self._model.inputs.values()))[2]
        self._sides = (int(height),) if isinstance(height, int) else SIDES

    @property
    def fingerprint(self) -> str:
        return f"yunet{_VERSION}-{self._model.fingerprint}-{_CONFIDENCE:g}"

    def detect(self, image: ImageArray) -> list[Face]:
        """Faces in pixels of ``image``, surest first; [] when there are none."""
        found: list[Candidates] = [self._search(image, side) for side in self._sides]
        boxes = np.concatenate([c.boxes for c in found])
        points = np.concatenate([c.landmarks for c in found])
        scores = np.concatenate([c.scores for c in found])
        faces = []
        for index in keep_best(boxes, scores, _OVERLAP):
            box = Box(*(float(v) for v in boxes[index])).clipped(image.shape[1], image.shape[0])
            if box.area > 0:
                faces.append(Face(box, float(scores[index]), points[index].astype(np.float32)))
        return faces

    def _search(self, image: ImageArray, side: int) -> Candidates:
        fixed = len(self._sides) == 1
        longer = max(image.shape[:2])
        width = side if fixed else _round_up(image.shape[1] * side / longer)
        height = side if fixed else _round_up(image.shape[0] * side / longer)
        canvas, fitted = letterbox(image, width, height, fill=0)
        tensor = canvas[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32)
        raw = decode(self._model.run(tensor), {stride: width // stride for stride in STRIDES})
        return _select(raw, _CONFIDENCE, fitted)


def _select(raw: Candidates, confidence: float, fitted: Letterbox) -> Candidates:
    sure = raw.scores >= confidence
    boxes = fitted.back(raw.boxes[sure].reshape(-1, 2, 2)).reshape(-1, 4)
    return Candidates(boxes, fitted.back(raw.landmarks[sure]), raw.scores[sure])


def _round_up(size: float) -> int:
    return max(32, -(-round(size) // 32) * 32)
