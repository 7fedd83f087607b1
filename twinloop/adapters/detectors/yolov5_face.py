"""YOLOv5-face (Qi et al. 2021): reads the checkpoints people have (``yolov5l-face.pt``) and ONNX exports of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from twinloop.adapters.detectors.checkpoints import Recipe, is_checkpoint, open_checkpoint
from twinloop.adapters.detectors.imaging import keep_best, letterbox, sigmoid
from twinloop.adapters.detectors.onnx_model import Array, OnnxModel
from twinloop.adapters.detectors.onnx_writer import NOTES
from twinloop.adapters.detectors.yolov5_graph import VALUES_PER_ANCHOR, convert
from twinloop.domain.faces import Box, Face, FloatArray, ImageArray
from twinloop.errors import ModelFileError
from twinloop.pickles import Inert

STRIDES = (8, 16, 32)
"""The usual strides, in pixels per cell."""
ANCHORS: FloatArray = np.array(
    [[[4, 5], [8, 10], [13, 16]], [[23, 29], [43, 55], [73, 105]], [[146, 217], [231, 300], [335, 433]]],
    dtype=np.float32,
)
"""Width and height in pixels of the anchors per stride, as all published YOLOv5-face models use them."""
_FILL = 114
_CONFIDENCE = 0.35
"""Least score, 0..1; this family scores profiles far lower than frontal faces."""
_SIZE = 640
_SMALL = 320
"""Longer sides of the searched image, the small one for images up to that size; exports of fixed size keep theirs."""
_OVERLAP = 0.45
COMMON_BOX = 1 / 1.07
"""This family draws its boxes larger than YuNet, whose box is the common one (`Face`): height 1.07 (middle 80 %: 1.02
to 1.13) and width 1.08 times as large, about the same centre, alike for frontal faces and profiles. Median over 1,663
faces of five sets of photos (``bench/face_boxes.py``), measured with yolov5n-0.5-face; larger models of the family
learn the same annotations (WIDER FACE) but were not at hand."""
_VERSION = 2
_CONVERSION = 1


def decode(heads: Mapping[int, FloatArray], anchors: Mapping[int, FloatArray], confidence: float) -> FloatArray:
    """Raw heads to candidates above ``confidence``.

    Args:
        heads: stride -> (A, rows, columns, 16) raw values: x y w h, objectness, five landmarks, class.
        anchors: stride -> (A, 2) pixels.

    Returns:
        (N, 15) float32: box x0 y0 x1 y1, score, five landmarks x y, in pixels of the network's input.
    """
    found = []
    for stride, raw in heads.items():
        score = sigmoid(raw[..., 4]) * sigmoid(raw[..., 15])
        anchor, row, column = np.nonzero(score >= confidence)
        values, size = raw[anchor, row, column], anchors[stride][anchor]
        cell = np.stack([column, row], axis=1).astype(np.float32)
        center = (2 * sigmoid(values[:, 0:2]) - 0.5 + cell) * stride
        half = (2 * sigmoid(values[:, 2:4])) ** 2 * size / 2
        # landmarks are plain offsets in units of the anchor: no sigmoid
        points = values[:, 5:15].reshape(-1, 5, 2) * size[:, None] + cell[:, None] * stride
        columns = [center - half, center + half, score[anchor, row, column, None], points.reshape(-1, 10)]
        found.append(np.concatenate(columns, axis=1))
    return np.concatenate(found).astype(np.float32)


class YoloV5Face:
    """Finds faces with five landmarks.

    Args:
        path: a ``.pt`` checkpoint (read without unpickling, rebuilt as ONNX) or an ``.onnx`` export with raw heads.

    Raises:
        UnsafeModelFile: the checkpoint would run code. ModelFileError: it is another model or damaged.
    """

    def __init__(self, path: Path) -> None:
        if is_checkpoint(path):
            self._model, strides, anchors = _open_checkpoint(path)
        else:
            self._model, strides, anchors = OnnxModel.open(path), STRIDES, ANCHORS
        self._anchors = dict(zip(strides, anchors, strict=True))
        if len(self._model.outputs) != len(self._anchors):
            raise ModelFileError(
                f"{path.name}: not a YOLOv5-face export with raw heads (it has {len(self._model.outputs)} outputs,"
                f" expected {len(self._anchors)}). Give the .pt file itself, or export it without its detection layer."
            )
        height = next(iter(self._model.inputs.values()))[2]
        self._fixed = int(height) if isinstance(height, int) else None

    @property
    def fingerprint(self) -> str:
        return f"yolov5face{_VERSION}-{self._model.fingerprint}-{_CONFIDENCE:g}-{self._fixed or _SIZE}"

    def detect(self, image: ImageArray) -> list[Face]:
        """Faces in pixels of ``image``, surest first; [] when there are none."""
        width, height = self._canvas(image)
        canvas, fitted = letterbox(image, width, height, fill=_FILL)
        tensor = (canvas.astype(np.float32) / 255.0).transpose(2, 0, 1)[None]
        candidates = decode(self._heads(self._model.run(tensor), width), self._anchors, _CONFIDENCE)
        boxes = fitted.back(candidates[:, :4].reshape(-1, 2, 2)).reshape(-1, 4)
        points = fitted.back(candidates[:, 5:].reshape(-1, 5, 2))
        faces = []
        for index in keep_best(boxes, candidates[:, 4], _OVERLAP):
            drawn = Box(*(float(v) for v in boxes[index])).expanded((COMMON_BOX - 1) / 2)
            box = drawn.clipped(image.shape[1], image.shape[0])
            if box.area > 0:
                faces.append(Face(box, float(candidates[index, 4]), points[index]))
        return faces

    def _canvas(self, image: ImageArray) -> tuple[int, int]:
        if self._fixed is not None:
            return self._fixed, self._fixed
        longer = max(image.shape[:2])
        # a thumbnail blown up fourfold and more loses profiles (390 of 438 small portraits found at 640, 417 at 320)
        scale = (_SMALL if longer <= _SMALL else _SIZE) / longer
        width, height = (max(32, -(-round(side * scale) // 32) * 32) for side in (image.shape[1], image.shape[0]))
        return width, height

    def _heads(self, outputs: Mapping[str, Array], width: int) -> dict[int, FloatArray]:
        """Outputs as stride -> (A, rows, columns, 16), whichever of the two usual layouts the file has."""
        heads = {}
        for value in outputs.values():
            raw = value[0]
            if raw.ndim == 3:  # (A * 16, rows, columns)
                raw = raw.reshape(-1, VALUES_PER_ANCHOR, *raw.shape[1:]).transpose(0, 2, 3, 1)
            stride = width // raw.shape[2] if raw.ndim == 4 and raw.shape[2] else 0
            if stride not in self._anchors or raw.shape[-1] != VALUES_PER_ANCHOR:
                raise ModelFileError(f"{self._model.source}: its outputs are not those of a YOLOv5-face model")
            heads[stride] = raw
        return heads


def _open_checkpoint(path: Path) -> tuple[OnnxModel, tuple[int, ...], FloatArray]:
    model = open_checkpoint(path, _RECIPE)
    notes = json.loads(model.texts[NOTES])
    return model, tuple(notes["strides"]), np.array(notes["anchors"], dtype=np.float32)


def _convert(network: Inert) -> bytes:
    if network.cls.module.startswith("ultralytics"):
        raise ModelFileError(
            "an Ultralytics checkpoint, which has no face landmarks. Use a YOLOv5-face checkpoint such as"
            " yolov5l-face.pt"
        )
    return convert(network)


_RECIPE = Recipe(f"yolov5face{_CONVERSION}", ("model",), _convert)
