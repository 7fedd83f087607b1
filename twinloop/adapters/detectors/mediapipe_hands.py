"""MediaPipe hands (Zhang et al. 2020): a palm detector proposes, the landmark net confirms.

A palm score alone also fires on faces; a hand is reported only when the landmark net says that one is present.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from twinloop.adapters.detectors.imaging import RotatedCrop, anchor_centers, keep_best, letterbox, sigmoid
from twinloop.adapters.detectors.onnx_model import OnnxModel
from twinloop.domain.faces import Box, Face, FloatArray, HandShape, ImageArray, Part
from twinloop.domain.hands import palm_size
from twinloop.errors import ModelFileError

_PALM_SIZE = 192
_HAND_SIZE = 224
PALM_GRIDS = ((24, 2), (12, 6))
"""(cells per side, anchors per cell) of the palm detector at 192 px."""
_WRIST, _MIDDLE_KNUCKLE = 0, 2
_PALM_CONFIDENCE = 0.5
"""Least palm score to look closer."""
_PRESENCE = 0.5
"""Least probability of a hand to report one."""
_CROP_SCALE = 2.6
_CROP_SHIFT = 0.5
_SURE = 0.9
"""Presence from which a hand that lies wholly inside a face is believed."""
_TURN = 0.35
"""Radians by which further looks at a hand are turned either way."""
_FURTHER = 1.2
"""How much larger the square of the look from further away is."""
_VERSION = 1


def palm_crop(box: FloatArray, wrist: FloatArray, knuckle: FloatArray) -> RotatedCrop:
    """The square around the whole hand, fingers up, from a palm box (x0, y0, x1, y1) and two of its points."""
    dx, dy = (float(v) for v in knuckle - wrist)
    angle = math.atan2(dx, -dy)
    width, height = float(box[2] - box[0]), float(box[3] - box[1])
    shift = _CROP_SHIFT * height
    center = (
        float(box[0] + box[2]) / 2 + shift * math.sin(angle),
        float(box[1] + box[3]) / 2 - shift * math.cos(angle),
    )
    return RotatedCrop(center, max(width, height) * _CROP_SCALE, angle)


def _inside_a_face(box: Box, faces: Sequence[Face]) -> bool:
    """A mouth can pass for a small hand; a real hand before a face either sticks out or is a clear case."""
    for face in faces:
        low_x, low_y = max(box.x0, face.box.x0), max(box.y0, face.box.y0)
        high_x, high_y = min(box.x1, face.box.x1), min(box.y1, face.box.y1)
        if max(0.0, high_x - low_x) * max(0.0, high_y - low_y) > 0.8 * box.area:
            return True
    return False


@dataclasses.dataclass(frozen=True, eq=False)
class _Look:
    """What the landmark net says of a crop: presence and handedness 0..1, (21, 2) landmarks in pixels of the image."""

    presence: float
    handedness: float
    points: FloatArray


class MediaPipeHands:
    """Finds hands.

    Args:
        palm, hand: the palm detection (192 px) and hand landmark (224 px) ONNX files.

    Raises:
        ModelFileError: a file is not that model.
    """

    kind = "hand"
    forms = "landmarks1"

    def __init__(self, palm: Path, hand: Path) -> None:
        self._palm, self._hand = OnnxModel.open(palm), OnnxModel.open(hand)
        self._palm.expect(1, 2, "a palm detection model")
        self._hand.expect(1, 4, "a hand landmark model")
        if list(next(iter(self._palm.inputs.values())))[1:] != [_PALM_SIZE, _PALM_SIZE, 3]:
            raise ModelFileError(f"{palm.name}: not the 192x192 palm detection model of MediaPipe")
        self._anchors = anchor_centers(PALM_GRIDS)

    @property
    def fingerprint(self) -> str:
        limits = f"{_PALM_CONFIDENCE:g}-{_PRESENCE:g}"
        return f"mediapipe-hands{_VERSION}-{self._palm.fingerprint}-{self._hand.fingerprint}-{limits}"

    def parts(self, image: ImageArray, faces: Sequence[Face]) -> list[Part]:
        """Hands in pixels of ``image``, surest first; the confidence is the landmark net's presence at first look."""
        found = [hand for crop in self._palms(image) if (hand := self._confirm(image, crop)) is not None]
        found = [hand for hand in found if hand.confidence >= _SURE or not _inside_a_face(hand.box, faces)]
        if not found:
            return []
        boxes = np.array([[h.box.x0, h.box.y0, h.box.x1, h.box.y1] for h in found], dtype=np.float32)
        scores = np.array([h.confidence for h in found], dtype=np.float32)
        return [found[index] for index in keep_best(boxes, scores, 0.4)]

    def _palms(self, image: ImageArray) -> list[RotatedCrop]:
        canvas, fitted = letterbox(image, _PALM_SIZE, _PALM_SIZE, fill=0)
        outputs = self._palm.run(canvas[None].astype(np.float32) / 255.0)
        raw = next(v for v in outputs.values() if v.shape[-1] == 18)[0]
        scores = sigmoid(next(v for v in outputs.values() if v.shape[-1] == 1)[0, :, 0])
        sure = np.flatnonzero(scores >= _PALM_CONFIDENCE)
        anchors = self._anchors[sure] * _PALM_SIZE
        center, half = raw[sure, :2] + anchors, raw[sure, 2:4] / 2
        boxes = fitted.back(np.stack([center - half, center + half], axis=1)).reshape(-1, 4)
        points = fitted.back(raw[sure, 4:].reshape(-1, 7, 2) + anchors[:, None])
        kept = keep_best(boxes, scores[sure], 0.3)
        return [palm_crop(boxes[i], points[i, _WRIST], points[i, _MIDDLE_KNUCKLE]) for i in kept]

    def _confirm(self, image: ImageArray, crop: RotatedCrop) -> Part | None:
        if crop.side < 8:
            return None
        first = self._look(image, crop)
        if first.presence < _PRESENCE:
            return None
        low, high = first.points.min(axis=0), first.points.max(axis=0)
        box = Box(float(low[0]), float(low[1]), float(high[0]), float(high[1])).expanded(0.08)
        box = box.clipped(image.shape[1], image.shape[0])
        return Part(self.kind, box, min(first.presence, 1.0), self._shape(image, crop, first)) if box.area > 0 else None

    def _shape(self, image: ImageArray, crop: RotatedCrop, first: _Look) -> HandShape:
        """The net draws a fair hand over anything.

        What is no hand it draws otherwise at each look: from the same pixels, turned, mirrored, from further away."""
        turned = [dataclasses.replace(crop, angle=crop.angle + turn) for turn in (_TURN, -_TURN)]
        further = dataclasses.replace(crop, side=crop.side * _FURTHER)
        looks = [*(self._look(image, one) for one in (*turned, further)), self._look(image, crop, mirrored=True)]
        apart = np.mean([np.linalg.norm(look.points - first.points, axis=1).mean() for look in looks])
        spread = float(apart) / max(palm_size(first.points), 1e-6)
        least = min(look.presence for look in (first, *looks))
        return HandShape(first.points, first.handedness, least, spread)

    def _look(self, image: ImageArray, crop: RotatedCrop, mirrored: bool = False) -> _Look:
        pixels = crop.cut(image, _HAND_SIZE)
        tensor = (pixels[:, ::-1] if mirrored else pixels)[None].astype(np.float32) / 255.0
        outputs = self._hand.run(tensor)
        names = self._hand.outputs
        shares = (outputs[names[0]].reshape(21, 3)[:, :2] / _HAND_SIZE).astype(np.float32)
        if mirrored:
            shares[:, 0] = 1.0 - shares[:, 0]
        return _Look(float(outputs[names[1]][0, 0]), float(outputs[names[2]][0, 0]), crop.to_image(shares))
