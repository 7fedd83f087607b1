"""Where a head is in a photo, and the window around it: so that heads of many photos get one size, one eye line and no
tilt.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from twinloop.domain.faces import Box, Face, FloatArray, ImageArray
from twinloop.facets.face_angle import FRONT_BELOW, PROFILE_FROM

USUAL_PROPORTION = 0.9
"""Distance of the eyes over distance from eyes to mouth; the two factors of FFHQ's alignment (arXiv 1812.04948,
appendix C) say the same."""
_EYES_IN_BOX, _SIZE_OF_BOX = 0.40, 0.67
"""Eye line and head size as shares of the face box's height, for detectors without landmarks."""
_SHIFT = 0.4
"""How far a turned head's eyes go towards where it looks, as a multiple of `Head.size`: its back needs the room."""


@dataclass(frozen=True)
class Head:
    """One head, in pixels of its photo.

    Attributes:
        eyes: (x, y) between the eyes. size: twice the distance of the eyes, as if seen from the front; about 12.6 cm on
            adults.
        tilt: degrees, clockwise as the viewer sees it; 0 where it cannot be told (profiles).
        turn: sine of the yaw, > 0 = towards the viewer's right; 0 where it was not measured.
        by: ``landmarks``, or ``box`` where the detector gave none (coarser).
    """

    eyes: tuple[float, float]
    size: float
    tilt: float
    turn: float
    by: str


@dataclass(frozen=True)
class Window:
    """A square around a head.

    Attributes:
        heads: its side as a multiple of `Head.size`. eye_line: height of the eyes from the top, as a share of the side.
    """

    heads: float
    eye_line: float

    def pixels(self, head: Head) -> float:
        """Side in pixels of the photo."""
        return self.heads * head.size

    def share_inside(self, head: Head, width: int, height: int) -> float:
        """How much of it, 0..1, lies inside a photo of that size (its tilt left aside)."""
        side = self.pixels(head)
        x, y = self.eyes(head, 1)
        left, top = head.eyes[0] - x * side, head.eyes[1] - y * side
        inside = Box(left, top, left + side, top + side).clipped(width, height)
        return inside.area / side**2

    def eyes(self, head: Head, side: int) -> tuple[float, float]:
        """Where the eyes come to lie in a picture of ``side`` pixels."""
        return side * (0.5 + _SHIFT * head.turn / self.heads), side * self.eye_line


def proportion_of(faces: Iterable[Face]) -> float:
    """The person's own proportion of eye distance to eye-mouth distance, from the frontal faces: profiles are measured
    with it.
    """
    found = []
    for face in faces:
        if face.landmarks is not None and face.pose is not None and abs(face.pose.yaw) < FRONT_BELOW:
            apart, down = _distances(face.landmarks)
            if down > 0:
                found.append(apart / math.cos(math.radians(face.pose.yaw)) / down)
    return float(np.median(found)) if found else USUAL_PROPORTION


def find_head(face: Face, proportion: float = USUAL_PROPORTION) -> Head:
    """A face's head: by its landmarks where there are some, else by its box."""
    yaw = 0.0 if face.pose is None else face.pose.yaw
    turn = math.sin(math.radians(yaw))
    if face.landmarks is None:
        tilt = 0.0 if face.pose is None or abs(yaw) >= PROFILE_FROM else face.pose.roll
        eyes = (face.box.center[0], face.box.y0 + _EYES_IN_BOX * face.box.height)
        return Head(eyes, _SIZE_OF_BOX * face.box.height, tilt, turn, "box")
    left, right = (np.asarray(point, np.float64) for point in face.landmarks[:2])
    apart, down = _distances(face.landmarks)
    frontal = abs(yaw) < FRONT_BELOW
    size = 2 * (apart / math.cos(math.radians(yaw)) if frontal else proportion * down)
    tilt = 0.0 if abs(yaw) >= PROFILE_FROM else math.degrees(math.atan2(right[1] - left[1], right[0] - left[0]))
    middle = (left + right) / 2
    return Head((float(middle[0]), float(middle[1])), max(size, 1.0), tilt, turn, "landmarks")


def _distances(landmarks: FloatArray) -> tuple[float, float]:
    """Eye to eye, and from between the eyes to between the mouth corners."""
    points = np.asarray(landmarks, np.float64)
    eyes, mouth = points[:2].mean(axis=0), points[3:5].mean(axis=0)
    return float(np.linalg.norm(points[1] - points[0])), float(np.linalg.norm(mouth - eyes))


def cut_head(pixels: ImageArray, head: Head, window: Window, side: int) -> Image.Image:
    """The window as an RGBA picture of ``side`` pixels, eyes level; what lies outside of the photo is transparent."""
    scale = side / window.pixels(head)
    photo = Image.fromarray(pixels)
    width, height = photo.size
    if scale < 1:  # a transform looks at few pixels only: shrink first, so that nothing flickers
        photo = photo.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.LANCZOS)
    across, down = photo.width / width, photo.height / height
    cos, sin = math.cos(math.radians(head.tilt)) / scale, math.sin(math.radians(head.tilt)) / scale
    x, y = window.eyes(head, side)
    to_photo = (
        across * cos, -across * sin, across * (head.eyes[0] - cos * x + sin * y),
        down * sin, down * cos, down * (head.eyes[1] - sin * x - cos * y),
    )  # fmt: skip
    return photo.convert("RGBA").transform(
        (side, side), Image.Transform.AFFINE, to_photo, Image.Resampling.BICUBIC, fillcolor=(0, 0, 0, 0)
    )
