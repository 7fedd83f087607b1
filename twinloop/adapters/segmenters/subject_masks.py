"""Masks of one subject: of what a network marks, the parts that hold the subject's face, with a wider and soft edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from twinloop.adapters.segmenters.networks import Segmenter
from twinloop.domain.faces import Box, Face, FloatArray, ImageArray
from twinloop.errors import MaskFailed
from twinloop.ports import SubjectMask

SURE = 0.5
"""From which on a place counts as marked."""
LEAST_FACE = 0.5
"""Share of the subject's face that must be marked: else what is marked is something else."""
LEAST_TOUCH = 0.05
"""Share of the subject's face from which on a part is one of the subject's: corners of a box lie beside the face."""
LEAST_PICTURE = 0.005
"""Share of a picture that must be marked: less is no subject, but a speck."""
AROUND_FACE = 0.25
"""Share of a face box's size that is added on each side for the whole head."""
SAME_FACE = 0.3
"""Intersection over union from which two boxes are one face."""
_WORK = 1024
"""Longer side in pixels at which masks are shaped: a training at 1024 px has cells of 8."""
_VERSION = 1


@dataclass(frozen=True)
class Edge:
    """What is done to the edge of a mask.

    Attributes:
        grow: how far it is moved outwards. blur: the standard deviation of its softness. Both in shares of the
            picture's longer side below 1, in pixels of the picture from 1 on.
    """

    grow: float
    blur: float


class SubjectMasks:
    """A `Masker` by one network."""

    def __init__(self, network: Segmenter, edge: Edge) -> None:
        self._network, self._edge = network, edge

    @property
    def name(self) -> str:
        return f"{self._network.path.name} ({self._network.kind.name})"

    @property
    def fingerprint(self) -> str:
        return f"mask{_VERSION}-{self._network.fingerprint}-{self._edge.grow:g}-{self._edge.blur:g}"

    def mask(self, image: ImageArray, faces: Sequence[Face]) -> SubjectMask:
        height, width = image.shape[:2]
        factor = min(1.0, _WORK / max(width, height))
        small = (max(1, round(width * factor)), max(1, round(height * factor)))
        found = _at_size(self._network.segment(image), small)
        boxes = [_scaled(face.box, small[0] / width, small[1] / height) for face in faces]
        beside = 0
        if boxes:
            found, beside = _of_subject(found, boxes[0], boxes[1:])
        if float((found >= SURE).mean()) < LEAST_PICTURE:
            raise MaskFailed("the network marks nothing in it")
        found = self._shaped(found, max(width, height), max(small))
        grey = _at_size(np.rint(found * 255).astype(np.uint8), (width, height))
        return SubjectMask(np.ascontiguousarray(grey), beside)

    def _shaped(self, found: FloatArray, longer: int, work: int) -> FloatArray:
        grow, blur = (wanted * (work if wanted < 1 else work / longer) for wanted in (self._edge.grow, self._edge.blur))
        reach = round(grow)
        if reach > 0:
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
            found = _float32(cv2.dilate(found, disc))
        if blur > 0:
            found = _float32(cv2.GaussianBlur(found, (0, 0), blur, borderType=cv2.BORDER_REPLICATE))
        return found.clip(0.0, 1.0)


def _float32(pixels: npt.NDArray[Any]) -> FloatArray:
    return np.asarray(pixels, np.float32)


def _at_size(pixels: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    larger = size[0] * size[1] >= pixels.shape[0] * pixels.shape[1]
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR if larger else cv2.INTER_AREA))


def _scaled(box: Box, across: float, down: float) -> Box:
    return Box(box.x0 * across, box.y0 * down, box.x1 * across, box.y1 * down)


def _of_subject(found: FloatArray, face: Box, others: Sequence[Box]) -> tuple[FloatArray, int]:
    """What is marked of the subject alone, and how many of the others' faces lie in that as well.

    Of the connected parts those stay that touch the face. A pale place belongs to the nearest of them. Heads of others
    in these parts become black: people who touch are one part, and nobody else's face is to be learned.

    Raises:
        MaskFailed: the face is not marked.
    """
    _, parts = cv2.connectedComponents((found >= SURE).astype(np.uint8), connectivity=8)
    inside = _inside(parts, face)
    if inside.size == 0 or float((inside > 0).mean()) < LEAST_FACE:
        raise MaskFailed("the network marks something else than the face in it")
    touched = np.bincount(inside.ravel()) >= LEAST_TOUCH * inside.size
    touched[0] = False
    kept = np.isin(parts, np.flatnonzero(touched))
    rest = (parts > 0) & ~kept
    if rest.any():
        nearer = _distance_to(kept) <= _distance_to(rest)
        found = np.where(nearer, found, np.float32(0))
    beside = [
        box
        for box in others
        if box.iou(face) < SAME_FACE and (area := _inside(kept, box)).size > 0 and float(area.mean()) >= LEAST_FACE
    ]
    if beside:
        heads, own = np.zeros(found.shape, np.uint8), np.zeros(found.shape, np.uint8)
        for box in beside:
            _fill(heads, box.expanded(AROUND_FACE))
        _fill(own, face)
        found = np.where((heads > 0) & (own == 0), np.float32(0), found)
    return found, len(beside)


def _fill(pixels: npt.NDArray[np.uint8], box: Box) -> None:
    """Fill the ellipse in a box."""
    center, axes = (round(box.center[0]), round(box.center[1])), (round(box.width / 2), round(box.height / 2))
    cv2.ellipse(pixels, center, axes, 0, 0, 360, 1, thickness=-1)


def _inside(pixels: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
    """The pixels in a box, at least one where it lies in the picture."""
    height, width = pixels.shape
    cut = box.clipped(width, height)
    left, top = min(int(cut.x0), width - 1), min(int(cut.y0), height - 1)
    return pixels[top : max(top + 1, round(cut.y1)), left : max(left + 1, round(cut.x1))]


def _distance_to(area: npt.NDArray[np.bool_]) -> FloatArray:
    return np.asarray(cv2.distanceTransform((~area).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
