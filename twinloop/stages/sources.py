"""Sources: which real photos a shot starts from, or shows to a model that edits."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twinloop.domain.faces import Box
from twinloop.domain.json_fields import entry, entry_or, list_of, number, optional, text
from twinloop.domain.observation import Observation
from twinloop.domain.shots import box
from twinloop.facets import face_angle

NEAR = 3
"""One photo in so many is near enough in pose to start from, and never fewer than so many: always the same few would
give always the same picture."""
APART = 45.0
"""Degrees of yaw between two photos beyond which they show no more of a head."""
UNTOLD = 0.5
"""Stands for a quality or a distance in pose that was not measured: neither good nor bad."""


@dataclass(frozen=True)
class Source:
    """A real photo to start from.

    Attributes:
        yaw: of the head in degrees, more than 0 = to the viewer's right. quality: of the face, 0..1. face: in pixels.
            None = not measured.
    """

    path: str
    yaw: float | None = None
    quality: float | None = None
    face: Box | None = None


def sources_json(photos: Sequence[Source]) -> dict[str, Any]:
    """sources.json."""
    return {"photos": [_written(photo) for photo in photos]}


def _written(photo: Source) -> dict[str, Any]:
    face = {} if photo.face is None else {"face": photo.face.to_list()}
    return {"path": photo.path, "yaw": photo.yaw, "quality": photo.quality, **face}


def sources_from_json(data: Any) -> tuple[Source, ...]:
    """What `sources_json` made. Raises ValueError where it is no such record; names the field."""
    return entry(data, "photos", list_of(_source))


def _source(data: Any) -> Source:
    return Source(
        entry(data, "path", text),
        entry(data, "yaw", optional(number)),
        entry(data, "quality", optional(number)),
        entry_or(data, "face", box, None),
    )


def source_of(path: str, seen: Observation) -> Source:
    """A photo with what was measured on its subject's face."""
    face = seen.face
    if face is None:
        return Source(path, None, 0.0)
    quality = seen.measure("face_quality")
    return Source(
        path,
        None if face.pose is None else round(face.pose.yaw, 1),
        None if quality is None else round(quality, 3),
        Box(*face.box.to_list()),
    )


def choose(photos: Sequence[Source], angle: str, turn: int, count: int, rng: random.Random) -> tuple[str, ...]:
    """The photo to start from, near in pose to what is wanted, then up to ``count - 1`` others that show the rest of
    the head well.

    Args:
        photos: at least one. angle: wanted value of the face angle, "" = any. turn: 1 = to the viewer's right, 0 = to
            the left.
    """
    near = _near(photos, angle, turn)
    chosen = [near[rng.randrange(len(near))]]
    while len(chosen) < min(count, len(photos)):
        others = [photo for photo in photos if photo not in chosen]
        chosen.append(max(others, key=lambda photo: (_worth(photo, chosen), photo.path)))
    return tuple(photo.path for photo in chosen)


def _near(photos: Sequence[Source], angle: str, turn: int) -> Sequence[Source]:
    """The photos that are nearest to an angle; all of them where none can be told, or any will do."""
    posed = [(photo.yaw, photo) for photo in photos if photo.yaw is not None]
    if angle not in face_angle.VALUES or not posed:
        return photos

    def distance(item: tuple[float, Source]) -> tuple[float, float, str]:
        yaw, photo = item
        return _degrees(angle, turn, yaw), -_quality(photo), photo.path

    ranked = [photo for _, photo in sorted(posed, key=distance)]
    return ranked[: max(NEAR, math.ceil(len(ranked) / NEAR))]


def _degrees(angle: str, turn: int, yaw: float) -> float:
    """How far a head would have to be turned to show an angle on the wanted side."""
    facing = yaw if turn else -yaw
    if angle == face_angle.VALUES[0] or facing > 0:
        return face_angle.degrees_to(angle, yaw)
    return face_angle.degrees_to(angle, 0.0) - facing


def _worth(photo: Source, chosen: Sequence[Source]) -> float:
    """What a photo adds to those that are shown already: a good face, from another side. 0..2."""
    poses = [one.yaw for one in chosen if one.yaw is not None]
    if photo.yaw is None or not poses:
        return _quality(photo) + UNTOLD
    return _quality(photo) + min(1.0, min(abs(photo.yaw - yaw) for yaw in poses) / APART)


def _quality(photo: Source) -> float:
    return UNTOLD if photo.quality is None else photo.quality
