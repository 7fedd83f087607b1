"""Bursts: photos of one person, taken within seconds of each other, that look alike; and which of them show the same
twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from twinloop.domain.faces import HeadPose
from twinloop.domain.vault import VaultFace
from twinloop.stages.same_picture.alignment import WHOLE, Window, correlation, detail, moved, sampled
from twinloop.stages.same_picture.likeness import is_large, spared_correlation
from twinloop.stages.vault.copies.views import View

LIKE = 0.75
"""Least correlation of two thumbnails of one moment, laid over each other."""
SAME_VIEW = 0.8
"""Least correlation of their details where nothing moved but a hair."""
SAME_FACE = 0.7
"""Least correlation of details between the two faces."""
SAME_POSE = 8.0
"""Degrees by which the head may have turned, in yaw, pitch or roll."""
SAME_EXPRESSION = 0.25
"""By how much a measure of expression (0..1) may differ."""
EXPRESSION = frozenset({"smile", "jaw_open", "brow_up", "brow_down"})
"""Measures of a face that say what it expresses, beside ``expression.<value>``. Eyes are not among them: of two frames
that differ in nothing else the one with open eyes is kept."""
NEIGHBOURS = 200
"""Photos on either side in time that are compared; more within seconds are no camera's doing but a wrong clock."""


def moments(taken: Mapping[int, float | None], seconds: float) -> dict[int, list[int]]:
    """For each place, in the order of time, the places of what was taken within ``seconds`` of it; without any it is
    not in it.
    """
    order = sorted((time, place) for place, time in taken.items() if time is not None)
    found: dict[int, list[int]] = {place: [] for _, place in order}
    for number, (time, place) in enumerate(order):
        for later, other in order[number + 1 : number + 1 + NEIGHBOURS]:
            if later - time > seconds:
                break
            found[place].append(other)
            found[other].append(place)
    return {place: others for place, others in found.items() if others}


def same_moment(a: View, b: View, limit: float) -> bool:
    """Whether two photos taken within seconds are of one person in one view. ``limit``: `Likeness.same_person`."""
    return same_person(a.faces, b.faces, limit) and _laid_over(a, b)[0] >= LIKE


def same_twice(a: View, b: View) -> bool:
    """Whether of two photos of one moment one says all: view, pose and expression did not change."""
    return (
        _laid_over(a, b)[1] >= SAME_VIEW
        and same_pose(a.faces[0].face.pose, b.faces[0].face.pose)
        and same_expression(a.faces[0].measures, b.faces[0].measures)
        and _face_likeness(a, b) >= SAME_FACE
    )


def same_person(a: Sequence[VaultFace], b: Sequence[VaultFace], limit: float) -> bool:
    """Whether the first face of one is among the faces of the other, by that cosine. False without embeddings."""
    return max(_similarity(a, b), _similarity(b, a)) >= limit


def other_people(a: Sequence[VaultFace], b: Sequence[VaultFace], limit: float) -> bool:
    """Whether both have faces that can be told apart, and they are not of one person. False without embeddings."""
    highest = max(_similarity(a, b), _similarity(b, a))
    return -1.0 <= highest < limit


def _similarity(a: Sequence[VaultFace], b: Sequence[VaultFace]) -> float:
    """Highest cosine of the first face of ``a`` with a face of ``b``; -2 where nothing can be compared."""
    first = a[0].face.embedding if a else None
    known = (
        []
        if first is None
        else [float(np.vdot(first, face.face.embedding)) for face in b if face.face.embedding is not None]
    )
    return max(known, default=-2.0)


def _laid_over(a: View, b: View) -> tuple[float, float]:
    """Correlation of the pictures and of their details, the better way round."""
    return max(_over(a, b), _over(b, a))


def _over(a: View, b: View) -> tuple[float, float]:
    window = moved(a.thumbnail, b.thumbnail, moved(a.thumbnail, b.thumbnail, WHOLE, 16), 32)
    seen, wanted = a.thumbnail.part(window, 32), b.thumbnail.whole(32)
    return correlation(seen, wanted), spared_correlation(detail(seen, 5), detail(wanted, 5))


def same_pose(a: HeadPose | None, b: HeadPose | None) -> bool:
    """Whether the head did not turn; True where that was not measured."""
    if a is None or b is None:
        return True
    return max(abs(a.yaw - b.yaw), abs(a.pitch - b.pitch), abs(a.roll - b.roll)) <= SAME_POSE


def same_expression(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    """Whether two faces, by their measures, express the same; True where that was not measured."""
    shared = (name for name in a.keys() & b.keys() if name in EXPRESSION or name.startswith("expression."))
    return all(abs(a[name] - b[name]) <= SAME_EXPRESSION for name in shared)


def _face_likeness(a: View, b: View) -> float:
    """Correlation of details of the first faces; 1.0 where they are too small to be compared."""
    places: tuple[Window, Window] = (a.places[0], b.places[0])
    if not all(is_large(place) for place in places):
        return 1.0
    one, other = (detail(sampled(view.thumbnail.image, place, 32)) for view, place in zip((a, b), places, strict=True))
    return correlation(one, other)
