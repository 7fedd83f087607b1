"""Faces and the parts that detectors find in one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
ImageArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Box:
    """An axis-aligned box in pixels, x right, y down; ``x1``/``y1`` are exclusive edges."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        return max(0.0, self.x1 - self.x0)

    @property
    def height(self) -> float:
        return max(0.0, self.y1 - self.y0)

    @property
    def area(self) -> float:
        return self.width * self.height

    @property
    def center(self) -> tuple[float, float]:
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    def iou(self, other: Box) -> float:
        """Intersection over union with ``other``, 0..1."""
        width = max(0.0, min(self.x1, other.x1) - max(self.x0, other.x0))
        height = max(0.0, min(self.y1, other.y1) - max(self.y0, other.y0))
        union = self.area + other.area - width * height
        return width * height / union if union > 0 else 0.0

    def expanded(self, share: float) -> Box:
        """The same box grown by ``share`` of its own size on every side."""
        dx, dy = self.width * share, self.height * share
        return Box(self.x0 - dx, self.y0 - dy, self.x1 + dx, self.y1 + dy)

    def clipped(self, width: int, height: int) -> Box:
        """The part of the box inside an image of ``width`` x ``height`` pixels."""
        return Box(
            min(max(self.x0, 0.0), width), min(max(self.y0, 0.0), height),
            min(max(self.x1, 0.0), width), min(max(self.y1, 0.0), height),
        )  # fmt: skip

    def to_list(self) -> list[float]:
        return [round(float(v), 2) for v in (self.x0, self.y0, self.x1, self.y1)]


@dataclass(frozen=True)
class HeadPose:
    """Head rotation in degrees.

    yaw > 0: the subject turns to the viewer's right (the nose points to image right);
    pitch > 0: looks up; roll > 0: the head tilts clockwise as the viewer sees it.
    """

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True, eq=False)
class Face:
    """One face.

    Attributes:
        box: in pixels of the observed image, from the middle of the forehead to the chin, however the detector draws
            its own: shares of the picture and cuts are reckoned from it, so every detector's are brought to the same
            (YuNet's, which the others were measured against).
        confidence: the detector's own score, 0..1 (biased towards frontal faces in most detectors).
        landmarks: (5, 2) float32 pixels: image-left eye, image-right eye, nose tip, image-left and image-right mouth
            corner; None where the detector gives none.
        pose: None = not measured.
        embedding: (D,) float32 of unit norm; None = not measured.
    """

    box: Box
    confidence: float
    landmarks: FloatArray | None = None
    pose: HeadPose | None = None
    embedding: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class HandShape:
    """What a landmark net made of one hand, looked at several times (turned, mirrored, from further away).

    Attributes:
        landmarks: (21, 2) float32 pixels, in MediaPipe's order: wrist, then four each of thumb, index, middle, ring and
            little finger, the tip last.
        handedness: 0..1, which hand it is; near 0.5 it could be either.
        presence: 0..1, least probability of a hand over all looks.
        spread: how far the looks put the landmarks from the first one's, in sizes of the palm (mean).
    """

    landmarks: FloatArray
    handedness: float
    presence: float
    spread: float

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HandShape):
            return NotImplemented
        return self._numbers == other._numbers and np.array_equal(self.landmarks, other.landmarks)

    def __hash__(self) -> int:
        return hash(self._numbers)

    @property
    def _numbers(self) -> tuple[float, float, float]:
        return self.handedness, self.presence, self.spread


@dataclass(frozen=True)
class Part:
    """A hand (or another named part) in pixels of the observed image.

    Attributes:
        shape: of a hand; None where the detector tells none.
        box_only: found on photos by a detector that draws boxes: it says nothing of how well a hand is formed.
    """

    kind: str
    box: Box
    confidence: float
    shape: HandShape | None = None
    box_only: bool = False
