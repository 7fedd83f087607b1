"""Which frames of a video are worth having: sharp ones of every angle and expression, none twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from twinloop.domain.video import SeenFrame
from twinloop.facets.expression import AT_LEAST
from twinloop.stages import pixels
from twinloop.stages.vault.copies.moment import same_expression, same_pose
from twinloop.stages.vault.dataset.choose import angle_and_side

ALIKE = 10
"""Bits of 64 by which the perceptual hashes of near-alike frames may differ, as in the search for duplicates."""
BLURRED = 0.3
"""Under this share of the median sharpness of its head angle a frame counts as blurred."""
_EXPRESSION = "expression."


@dataclass(frozen=True)
class ChosenFrames:
    """The frames to take, in the order of time; how many were left out as blurred, and as near-alike to taken ones."""

    frames: tuple[SeenFrame, ...]
    blurred: int
    alike: int


def choose(seen: Sequence[SeenFrame], most: int) -> ChosenFrames:
    """At most ``most`` frames.

    One after the other: each time the best frame of the head angle, and there of the expression, that has the fewest so
    far; what is near-alike to it drops out.
    """
    sharp = _without_blurred(seen)
    left = sorted(sharp, key=lambda frame: -_worth(frame))
    of_angle: Counter[str] = Counter()
    of_both: Counter[tuple[str, str]] = Counter()
    chosen: list[SeenFrame] = []
    alike = 0

    def had(frame: SeenFrame) -> tuple[int, int]:
        return of_angle[angle(frame)], of_both[angle(frame), expression(frame)]

    while left and len(chosen) < most:
        best = min(left, key=had)
        chosen.append(best)
        of_angle[angle(best)] += 1
        of_both[angle(best), expression(best)] += 1
        others = [frame for frame in left if frame is not best]
        left = [frame for frame in others if not near_alike(frame, best)]
        alike += len(others) - len(left)
    return ChosenFrames(tuple(sorted(chosen, key=lambda frame: frame.index)), len(seen) - len(sharp), alike)


def near_alike(a: SeenFrame, b: SeenFrame) -> bool:
    """Whether one of two frames says all: pose, expression and picture hardly differ."""
    if pixels.hash_distance(a.phash, b.phash) > ALIKE:
        return False
    if a.face is None or b.face is None:
        return a.face is b.face
    return same_pose(a.face.pose, b.face.pose) and same_expression(a.face.measures, b.face.measures)


def angle(frame: SeenFrame) -> str:
    """``front``, ``profile_left``... as the viewer sees it; "" = not measured."""
    return "" if frame.face is None else angle_and_side(frame.face.pose)


def expression(frame: SeenFrame) -> str:
    """The most probable one; "" = not measured, or none is sure enough."""
    measures = {} if frame.face is None else frame.face.measures
    sure = [
        (value, name.removeprefix(_EXPRESSION))
        for name, value in measures.items()
        if name.startswith(_EXPRESSION) and value >= AT_LEAST
    ]
    return max(sure)[1] if sure else ""


def face_sharpness(frame: SeenFrame) -> float | None:
    """Of the face at 112 pixels; None without one."""
    return None if frame.face is None else frame.face.measures.get("sharpness")


def _worth(frame: SeenFrame) -> float:
    return frame.sharpness if frame.face is None else frame.face.quality


def _without_blurred(seen: Sequence[SeenFrame]) -> list[SeenFrame]:
    """Angles are compared with themselves: a profile shows more hair and fewer edges than a front view."""
    by_angle: dict[str, list[float]] = {}
    for frame in seen:
        by_angle.setdefault(angle(frame), []).append(_sharp(frame))
    least = {name: BLURRED * median(values) for name, values in by_angle.items()}
    return [frame for frame in seen if _sharp(frame) >= least[angle(frame)]]


def _sharp(frame: SeenFrame) -> float:
    return face_sharpness(frame) or (0.0 if frame.face is not None else frame.sharpness)
