"""BlazeFace (Bazarevsky et al.

2019), the short-range face detector in MediaPipe's face bundle; the mesh then places the landmarks.

It searches the whole picture at 128 px, so it is for portraits: a face of less than about a tenth of the picture's
longer side is not found.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from twinloop.adapters.detectors.imaging import anchor_centers, keep_best, letterbox, sigmoid
from twinloop.adapters.detectors.mediapipe_face import MediaPipeFace, load_net
from twinloop.domain.faces import Box, Face, FloatArray, ImageArray
from twinloop.store.models.content import Content, read_model_bytes

_FILE = "face_detector.tflite"
_SIZE = 128
_GRIDS = ((16, 2), (8, 6))
"""(cells per side, anchors per cell) at 128 px."""
_CONFIDENCE = 0.5
"""Least score, 0..1."""
_OVERLAP = 0.3
_OF_MESH, _OF_NET = (0.13, 0.0, 0.97), (0.22, 0.04, 0.84)
"""What brings a box to the common one (`Face`): how far it grows above and below, in its own heights, and its new width
in its own widths. The mesh ends on the forehead; the net's own box, taken where the mesh does not settle (mostly
profiles), is a square around brows and mouth. Medians over 1,500 and 160 faces of five sets of photos
(``bench/face_boxes.py``)."""
_VERSION = 2
_LEFT_EYE, _RIGHT_EYE, _NOSE, _MOUTH = (33, 133), (362, 263), 1, (61, 291)
"""Mesh points: eye corners (image-left eye first), nose tip, mouth corners."""


class BlazeFace:
    """Finds faces of portraits.

    Args:
        task: ``face_landmarker*.task``. mesh: of the same bundle; it refines what is found.

    Raises:
        ModelFileError: not such a bundle.
    """

    def __init__(self, task: Path, mesh: MediaPipeFace) -> None:
        self._net = load_net(read_model_bytes(task, Content.TASK), _FILE, task.name)
        self._mesh, self._anchors = mesh, anchor_centers(_GRIDS)

    @property
    def fingerprint(self) -> str:
        return f"blazeface{_VERSION}-{self._mesh.fingerprint}-{_CONFIDENCE:g}"

    def detect(self, image: ImageArray) -> list[Face]:
        """Faces in pixels of ``image``, surest first, with landmarks where the mesh settles; [] when there are none."""
        canvas, fitted = letterbox(image, _SIZE, _SIZE, fill=0)
        self._net.setInput(np.ascontiguousarray(canvas.astype(np.float32).transpose(2, 0, 1)[None] / 127.5 - 1.0))
        outputs = self._net.forward(self._net.getUnconnectedOutLayersNames())
        logits = next(o for o in outputs if o.shape[-1] == 1).reshape(-1)
        raw = next(o for o in outputs if o.shape[-1] == 16).reshape(-1, 16)
        scores = sigmoid(logits)
        sure = np.flatnonzero(scores >= _CONFIDENCE)
        center, half = raw[sure, :2] + self._anchors[sure] * _SIZE, raw[sure, 2:4] / 2
        boxes = fitted.back(np.stack([center - half, center + half], axis=1)).reshape(-1, 4)
        eyes = fitted.back(raw[sure, 4:8].reshape(-1, 2, 2) + self._anchors[sure, None] * _SIZE)
        found = [
            self._face(image, boxes[i], scores[sure][i], eyes[i]) for i in keep_best(boxes, scores[sure], _OVERLAP)
        ]
        return [face for face in found if face is not None]

    def _face(self, image: ImageArray, corners: FloatArray, score: float, eyes: FloatArray) -> Face | None:
        box = Box(*(float(v) for v in corners)).clipped(image.shape[1], image.shape[0])
        if box.area <= 0:
            return None
        # only the eyes are used, for the roll of the crop that the mesh is fitted to
        rough = Face(box, float(score), np.concatenate([eyes, np.zeros((3, 2), np.float32)]))
        mesh = self._mesh.mesh(image, rough)
        if mesh is None or mesh.presence < 0.5:
            return replace(rough, box=_common(box, _OF_NET).clipped(image.shape[1], image.shape[0]), landmarks=None)
        points = mesh.points
        places = [
            points[list(_LEFT_EYE)].mean(0),
            points[list(_RIGHT_EYE)].mean(0),
            points[_NOSE],
            *points[list(_MOUTH)],
        ]
        (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
        around = Box(float(x0), float(y0), float(x1), float(y1))
        fitted = _common(around, _OF_MESH).clipped(image.shape[1], image.shape[0])
        return Face(fitted if fitted.area > 0 else box, float(score), np.stack(places).astype(np.float32))


def _common(box: Box, change: tuple[float, float, float]) -> Box:
    above, below, wide = change
    half = box.width * wide / 2
    return Box(box.center[0] - half, box.y0 - above * box.height, box.center[0] + half, box.y1 + below * box.height)
