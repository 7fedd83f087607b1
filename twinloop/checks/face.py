"""Exactly one face, surely a face, and a face that is whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twinloop.checks.base import CheckContext, passed
from twinloop.domain.faces import Face
from twinloop.domain.verdicts import CheckResult, Outcome
from twinloop.facets.face_angle import PROFILE_FROM, angle_of

SMALLEST_SHARE = 0.25
"""Of the subject's face in height; what is smaller is a picture on a wall."""


def faces_that_count(faces: Sequence[Face]) -> list[Face]:
    """The faces of an image, the subject's first, without those much smaller than it."""
    return [face for face in faces if face.box.height >= SMALLEST_SHARE * faces[0].box.height]


@dataclass(frozen=True)
class OneFace:
    """Exactly one face; faces much smaller than the subject's (pictures on a wall) do not count. Left out where the
    subject has none.
    """

    def __call__(self, context: CheckContext) -> CheckResult | None:
        if context.faceless:
            return None
        if "faces" not in context.seen.measured:
            return CheckResult("one_face", Outcome.UNSURE, None, "1", "no face detector")
        large = faces_that_count(context.seen.faces)
        reason = "" if len(large) == 1 else ("no face found" if not large else f"{len(large)} faces")
        return CheckResult("one_face", passed(len(large) == 1), float(len(large)), "1", reason)


@dataclass(frozen=True)
class FaceConfidence:
    """The detector's own score.

    It is lower for profiles in most detectors, so a turned head gets ``profile_allowance`` off.
    """

    profile_allowance: float = 0.15

    def __call__(self, context: CheckContext) -> CheckResult | None:
        face = context.seen.face
        if face is None:
            return None
        turned = face.pose is not None and abs(face.pose.yaw) >= PROFILE_FROM
        limit = context.limits.min_face_confidence - (self.profile_allowance if turned else 0.0)
        ok = face.confidence > limit
        return CheckResult(
            "face_confidence",
            passed(ok),
            round(float(face.confidence), 4),
            f"> {limit:.2f}",
            "" if ok else f"face confidence {face.confidence:.2f}",
            score=min(1.0, float(face.confidence)),
        )


@dataclass(frozen=True)
class FaceQuality:
    """A whole face, not a smeared one; only where the pack measures it, and a limit is known for it: one for all faces,
    or one that real photos of the same head angle taught. ``share``: of the limit, less for an image that is not
    finished.
    """

    share: float = 1.0

    def __call__(self, context: CheckContext) -> CheckResult | None:
        quality = context.seen.measure("face_quality")
        known = _least_and_full(context)
        if quality is None or known is None:
            return None
        least, full = known
        limit, score = self.share * least, min(1.0, quality / full) if full > 0 else 1.0
        ok = quality >= limit
        return CheckResult(
            "face_quality",
            passed(ok),
            round(quality, 4),
            f">= {limit:.4g}",
            "" if ok else f"the face is smeared ({quality:.2f})",
            score=score,
        )


def _least_and_full(context: CheckContext) -> tuple[float, float] | None:
    """The limit for this face, and the quality that leaves nothing to wish; None where nothing is known of its head
    angle.
    """
    limits, pose = context.limits, context.seen.pose
    if limits.min_face_quality is not None:
        return limits.min_face_quality, 1.0
    return None if pose is None else limits.real_face_quality.get(angle_of(pose.yaw))
