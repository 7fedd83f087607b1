"""YOLOv8-style detectors exported to ONNX (``hand_yolov8n.onnx``, ``eyes_*.onnx``): one output (1, 4 + classes, N)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from twinloop.adapters.detectors.imaging import keep_best, letterbox
from twinloop.adapters.detectors.model_files import Content, complaint, sniff
from twinloop.adapters.detectors.onnx_model import OnnxModel
from twinloop.domain.faces import Box, Face, FloatArray, ImageArray, Part
from twinloop.errors import ModelFileError
from twinloop.pickles import read_torch_file

_FILL = 114
_OVERLAP = 0.5
_VERSION = 1


def ultralytics_advice(path: Path) -> str:
    """What to do with a checkpoint of the Ultralytics package, which is not read directly."""
    return (
        f"{path.name}: an Ultralytics checkpoint. It is not read directly. Convert it once where you have that package: "
        f"`yolo export model={path.name} format=onnx`, and put the .onnx file here."
    )


def decode(raw: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Boxes (N, 4) x0 y0 x1 y1 and scores (N,) of the best class, from ``raw`` (4 + classes, N): centre, size, class scores."""
    scores = raw[4:].max(axis=0)
    sure = scores >= confidence
    center, half = raw[:2, sure].T, raw[2:4, sure].T / 2
    return np.concatenate([center - half, center + half], axis=1).astype(np.float32), scores[sure].astype(np.float32)


class YoloV8Parts:
    """Finds parts of one kind, whatever the classes of the model are called.

    Args:
        path: the ONNX export. kind: what the parts are (``hand``, ``eye``).

    Raises:
        UnsafeModelFile: a ``.pt`` that would run code.
        ModelFileError: a ``.pt`` (says how to convert it), or another model.
    """

    def __init__(
        self, path: Path, kind: str = "hand", confidence: float = 0.4, size: int = 640, threads: int = 1
    ) -> None:
        if sniff(path) in (Content.TORCH, Content.PICKLE):
            read_torch_file(path)  # a malicious file is called so first
            raise ModelFileError(ultralytics_advice(path))
        problem = complaint(path, Content.ONNX)
        if problem is not None:
            raise ModelFileError(problem)
        self._model = OnnxModel.open(path, threads)
        self._model.expect(1, 1, "a YOLOv8 detection export")
        side = next(iter(self._model.inputs.values()))[-1]
        self._size = int(side) if isinstance(side, int) else size
        self._kind, self._confidence = kind, confidence

    @property
    def kind(self) -> str:
        return self._kind

    @property
    def fingerprint(self) -> str:
        return f"yolov8-{self._kind}{_VERSION}-{self._model.fingerprint}-{self._confidence:g}-{self._size}"

    def parts(self, image: ImageArray, faces: Sequence[Face]) -> list[Part]:
        """Parts in pixels of ``image``, surest first."""
        canvas, fitted = letterbox(image, self._size, self._size, fill=_FILL)
        outputs = self._model.run((canvas.astype(np.float32) / 255.0).transpose(2, 0, 1)[None])
        raw = next(iter(outputs.values()))
        if raw.ndim != 3 or not 5 <= raw.shape[1] < raw.shape[2]:
            raise ModelFileError(
                f"{self._model.source}: its output has shape {raw.shape}, a YOLOv8 detection export has (1, 4 + classes, N). "
                "Export it without nms=True."
            )
        boxes, scores = decode(raw[0], self._confidence)
        boxes = fitted.back(boxes.reshape(-1, 2, 2)).reshape(-1, 4)
        found = []
        for index in keep_best(boxes, scores, _OVERLAP):
            box = Box(*(float(v) for v in boxes[index])).clipped(image.shape[1], image.shape[0])
            if box.area > 0:
                found.append(Part(self._kind, box, min(1.0, float(scores[index]))))
        return found


class PartsAsEyes:
    """Reads ``eyes_open`` off an eye detector: eyes that can be seen are found, closed or hidden ones are not."""

    covers = frozenset({"eyes"})

    def __init__(self, eyes: YoloV8Parts) -> None:
        self._eyes = eyes

    @property
    def fingerprint(self) -> str:
        return f"parts-as-eyes{_VERSION}-{self._eyes.fingerprint}"

    def measure(self, image: ImageArray, face: Face | None) -> Mapping[str, float]:
        """``eyes_open``: the surest eye whose centre lies in the face, 0 when there is none; nothing without a face."""
        if face is None:
            return {}
        near = face.box.expanded(0.1)
        scores = [part.confidence for part in self._eyes.parts(image, [face]) if _holds(near, part.box.center)]
        return {"eyes_open": max(scores, default=0.0)}


def _holds(box: Box, point: tuple[float, float]) -> bool:
    return box.x0 <= point[0] <= box.x1 and box.y0 <= point[1] <= box.y1
