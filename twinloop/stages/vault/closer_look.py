"""Finding the small faces of group photos with detectors that look at 640 pixels and less."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from twinloop.domain.faces import Box, Face, ImageArray
from twinloop.ports import FaceDetector

LARGE = 1000
"""Longer side in pixels from which a picture may be looked at in quarters, too."""
PORTRAIT = 0.2
"""Where a face is so high (share of the picture's height), the picture is of that person, and the passers-by are left
alone."""
_REACH = 0.6
"""Width and height of a quarter as shares of the picture; quarters overlap, so that a face on the middle line lies
whole in one of them."""
_SAME = 0.35
"""Overlap (intersection over the smaller area) from which two boxes are one face."""
_EDGE = 0.01
"""A box so near to an inner edge of its quarter (share of the picture) is a cut face; its neighbour sees it whole."""


def detect(detector: FaceDetector, image: ImageArray) -> list[Face]:
    """Faces in pixels of ``image``, found in the whole of it and, where they could be small, in its overlapping
    quarters.
    """
    found = detector.detect(image)
    height, width = image.shape[:2]
    if max(height, width) < LARGE or any(face.box.height >= PORTRAIT * height for face in found):
        return found
    for x, y, part in _quarters(image):
        for face in detector.detect(part):
            moved = _moved(face, x, y)
            if not _cut(moved.box, x, y, part, image):
                found = _joined(found, moved)
    return found


def _quarters(image: ImageArray) -> Iterator[tuple[int, int, ImageArray]]:
    height, width = image.shape[:2]
    wide, high = round(width * _REACH), round(height * _REACH)
    for y in (0, height - high):
        for x in (0, width - wide):
            yield x, y, np.ascontiguousarray(image[y : y + high, x : x + wide])


def _moved(face: Face, x: int, y: int) -> Face:
    box, marks = face.box, face.landmarks
    return dataclasses.replace(
        face,
        box=Box(box.x0 + x, box.y0 + y, box.x1 + x, box.y1 + y),
        landmarks=None if marks is None else np.asarray(marks + np.array([x, y], np.float32), np.float32),
    )


def _cut(box: Box, x: int, y: int, part: ImageArray, image: ImageArray) -> bool:
    room_x, room_y = image.shape[1] * _EDGE, image.shape[0] * _EDGE
    right, low = x + part.shape[1], y + part.shape[0]
    sides = (x > 0 and box.x0 < x + room_x, right < image.shape[1] and box.x1 > right - room_x)
    ends = (y > 0 and box.y0 < y + room_y, low < image.shape[0] and box.y1 > low - room_y)
    return any(sides) or any(ends)


def _joined(found: list[Face], face: Face) -> list[Face]:
    """With ``face``, or with the surer one of it and the face that it is already."""
    same = next((other for other in found if _overlap(other.box, face.box) >= _SAME), None)
    if same is None:
        return [*found, face]
    return [face if other is same and face.confidence > other.confidence else other for other in found]


def _overlap(a: Box, b: Box) -> float:
    width = max(0.0, min(a.x1, b.x1) - max(a.x0, b.x0))
    height = max(0.0, min(a.y1, b.y1) - max(a.y0, b.y0))
    return width * height / max(min(a.area, b.area), 1e-9)
