"""Ultralytics detectors of hands and eyes: their checkpoints (``hand_yolov8n.pt``, ``eyes_*.pt``; YOLOv5u to 11) and
ONNX exports.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from twinloop.adapters.detectors.checkpoints import Recipe, is_checkpoint, open_checkpoint
from twinloop.adapters.detectors.imaging import keep_best, letterbox
from twinloop.adapters.detectors.onnx_model import Array, OnnxModel
from twinloop.adapters.detectors.onnx_writer import NOTES
from twinloop.adapters.detectors.part_classes import exported_names, part_classes
from twinloop.adapters.detectors.ultralytics_graph import IsClassifier, convert
from twinloop.domain.faces import Box, Face, FloatArray, ImageArray, Part
from twinloop.errors import ModelFileError
from twinloop.pickles import Inert
from twinloop.store.models.content import Content, check_content

_FILL = 114
_OVERLAP = 0.5
_VERSION = 2
_EYES_VERSION = 3
_ADVICE = (
    "Where you have that package, `yolo export model=FILE format=onnx` makes an .onnx that can be used here instead"
)


def decode(raw: FloatArray, confidence: float, classes: Sequence[int]) -> tuple[FloatArray, FloatArray]:
    """Boxes (N, 4) x0 y0 x1 y1 and scores (N,) of an export.

    Args:
        raw: (4 + classes, cells): centre, size, class scores. classes: those that count; a cell has the score of its
            best.
    """
    scores = raw[4:][list(classes)].max(axis=0)
    sure = scores >= confidence
    center, half = raw[:2, sure].T, raw[2:4, sure].T / 2
    return np.concatenate([center - half, center + half], axis=1).astype(np.float32), scores[sure].astype(np.float32)


def decode_head(
    raw: FloatArray, stride: int, bins: int, confidence: float, classes: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """Boxes (N, 4) x0 y0 x1 y1 in pixels of the input and scores (N,) of one scale of a checkpoint.

    The distance to each side is the mean of a distribution over ``bins`` cells (Li et al. 2020, arXiv 2006.04388).

    Args:
        raw: (4 * bins + classes, rows, columns). stride: pixels per cell. classes: those that count.
    """
    scores = 1.0 / (1.0 + np.exp(-np.clip(raw[4 * bins :][list(classes)].max(axis=0), -60, 60)))
    row, column = np.nonzero(scores >= confidence)
    spread = raw[: 4 * bins, row, column].reshape(4, bins, -1)
    if bins > 1:
        weight = np.exp(spread - spread.max(axis=1, keepdims=True))
        sides = np.tensordot(np.arange(bins, dtype=np.float32), weight / weight.sum(axis=1, keepdims=True), (0, 1))
    else:
        sides = spread[:, 0]
    cell = np.stack([column, row]).astype(np.float32) + 0.5
    boxes = np.concatenate([cell - sides[:2], cell + sides[2:]]).T * stride
    return boxes.astype(np.float32), scores[row, column].astype(np.float32)


class _Export:
    """An ONNX export: one output (1, 4 + classes, cells), already decoded."""

    def __init__(self, path: Path, kind: str) -> None:
        check_content(path, Content.ONNX)
        self.model = OnnxModel.open(path)
        self.model.expect(1, 1, "a YOLOv8 detection export")
        side = next(iter(self.model.inputs.values()))[-1]
        self.fixed = int(side) if isinstance(side, int) else None
        names = exported_names(self.model.texts.get("names"))
        self.names = tuple(names or ())
        self._classes = None if names is None else part_classes(kind, names, path.name)

    def candidates(self, outputs: Mapping[str, Array], confidence: float) -> tuple[FloatArray, FloatArray]:
        raw = next(iter(outputs.values()))
        if raw.ndim != 3 or not 5 <= raw.shape[1] < raw.shape[2]:
            raise ModelFileError(
                f"{self.model.source}: its output has shape {raw.shape}, a YOLOv8 detection export has (1, 4 + classes,"
                " N). Export it without nms=True."
            )
        classes = range(raw.shape[1] - 4) if self._classes is None else self._classes
        if max(classes) >= raw.shape[1] - 4:
            raise ModelFileError(f"{self.model.source}: names more classes than it has; it is damaged")
        return decode(raw[0], confidence, classes)


class _Checkpoint:
    """A ``.pt``: one raw output per scale."""

    @property
    def cell(self) -> int:
        """Sides of the input are multiples of this: the largest stride."""
        return max(32, *(int(stride) for stride in self._strides))

    def __init__(self, path: Path, kind: str) -> None:
        self.model = open_checkpoint(path, _RECIPE)
        notes = json.loads(self.model.texts[NOTES])
        self._strides, self._bins = notes["strides"], notes["bins"]
        self.names = tuple(notes["names"])
        self._classes = part_classes(kind, self.names, path.name)

    def candidates(self, outputs: Mapping[str, Array], confidence: float) -> tuple[FloatArray, FloatArray]:
        scales = zip(outputs.values(), self._strides, strict=True)
        found = [decode_head(raw[0], stride, self._bins, confidence, self._classes) for raw, stride in scales]
        return np.concatenate([boxes for boxes, _ in found]), np.concatenate([scores for _, scores in found])


def _convert(network: Inert) -> bytes:
    if not network.cls.module.startswith("ultralytics"):
        raise ModelFileError(f"not an Ultralytics checkpoint (its network is {network.cls.path}); it is another model")
    try:
        return convert(network)
    except IsClassifier as error:
        raise ModelFileError(f"{error}. Take a detector of the same name from its author.") from error
    except ModelFileError as error:
        raise ModelFileError(f"{error}. {_ADVICE}.") from error


_RECIPE = Recipe("ultralytics1", ("ema", "model"), _convert)


class YoloV8Parts:
    """Finds parts of one kind.

    Args:
        path: a ``.pt`` checkpoint (read without unpickling, rebuilt as ONNX) or an ONNX export. kind: what the parts
            are (``hand``, ``eye``); of several classes those count whose name speaks of it.

    Raises:
        UnsafeModelFile: a ``.pt`` that would run code. ModelFileError: another model, or a network that is not known
            here.
    """

    forms = "boxes1"

    def __init__(self, path: Path, kind: str = "hand", confidence: float = 0.4, size: int = 640) -> None:
        self._net: _Checkpoint | _Export = (_Checkpoint if is_checkpoint(path) else _Export)(path, kind)
        self._size = size if isinstance(self._net, _Checkpoint) else self._net.fixed or size
        self._kind, self._confidence = kind, confidence

    @property
    def kind(self) -> str:
        return self._kind

    @property
    def fingerprint(self) -> str:
        return f"yolov8-{self._kind}{_VERSION}-{self._net.model.fingerprint}-{self._confidence:g}-{self._size}"

    def parts(self, image: ImageArray, faces: Sequence[Face]) -> list[Part]:
        """Parts in pixels of ``image``, surest first."""
        canvas, fitted = letterbox(image, *self._canvas(image), fill=_FILL)
        outputs = self._net.model.run((canvas.astype(np.float32) / 255.0).transpose(2, 0, 1)[None])
        boxes, scores = self._net.candidates(outputs, self._confidence)
        boxes = fitted.back(boxes.reshape(-1, 2, 2)).reshape(-1, 4)
        found = []
        for index in keep_best(boxes, scores, _OVERLAP):
            box = Box(*(float(v) for v in boxes[index])).clipped(image.shape[1], image.shape[0])
            if box.area > 0:
                found.append(Part(self._kind, box, min(1.0, float(scores[index])), box_only=True))
        return found

    def _canvas(self, image: ImageArray) -> tuple[int, int]:
        """Width and height of the searched image: the export's square, or the image's own shape in whole cells."""
        if isinstance(self._net, _Export):
            return self._size, self._size
        cell, scale = self._net.cell, self._size / max(image.shape[:2])
        width, height = (max(1, -(-round(side * scale) // cell)) * cell for side in (image.shape[1], image.shape[0]))
        return width, height


class PartsAsEyes:
    """Reads ``eyes_open`` off an eye detector: eyes that can be seen are found, closed or hidden ones are not."""

    covers = frozenset({"eyes"})

    def __init__(self, eyes: YoloV8Parts) -> None:
        self._eyes = eyes

    @property
    def fingerprint(self) -> str:
        return f"parts-as-eyes{_EYES_VERSION}-{self._eyes.fingerprint}"

    def measure(self, image: ImageArray, face: Face | None) -> Mapping[str, float]:
        """``eyes_open``: the surest eye whose centre lies in the face, 0 when there is none; nothing without a face.

        Without an eye also ``eyes_untold``: closed, covered or turned away are the same to an eye detector.
        """
        if face is None:
            return {}
        near = face.box.expanded(0.1)
        scores = [part.confidence for part in self._eyes.parts(image, [face]) if _holds(near, part.box.center)]
        return {"eyes_open": max(scores)} if scores else {"eyes_open": 0.0, "eyes_untold": 1.0}


def _holds(box: Box, point: tuple[float, float]) -> bool:
    return box.x0 <= point[0] <= box.x1 and box.y0 <= point[1] <= box.y1
