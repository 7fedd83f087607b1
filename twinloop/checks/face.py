"""Exactly one face, surely a face, and a face that is whole."""

from __future__ import annotations

from dataclasses import dataclass

from twinloop.checks.base import CheckContext, passed
from twinloop.domain.verdicts import CheckResult, Outcome
from twinloop.facets.face_angle import PROFILE_FROM


@dataclass(frozen=True)
class OneFace:
    """Exactly one face; faces much smaller than the subject's (pictures on a wall) do not count."""

    smallest_share: float = 0.25

    def __call__(self, context: CheckContext) -> CheckResult | None:
        if "faces" not in context.seen.measured:
            return CheckResult("one_face", Outcome.UNSURE, None, "1", "no face detector")
        faces = context.seen.faces
        large = [f for f in faces if f.box.height >= self.smallest_share * faces[0].box.height]
        reason = "" if len(large) == 1 else ("no face found" if not large else f"{len(large)} faces")
        return CheckResult("one_face", passed(len(large) == 1), float(len(large)), "1", reason)


@dataclass(frozen=True)
class FaceConfidence:
    """The detector's own score. It is lower for profiles in most detectors, so a turned head gets ``profile_allowance`` off."""

    profile_allowance: float = 0.15

    def __call__(self, context: CheckContext) -> CheckResult | None:
        face = context.seen.face
        if face is None:
            return None
        turned = face.pose is not None and abs(face.pose.yaw) >= PROFILE_FROM
        limit = context.limits.min_face_confidence - (self.profile_allowance if turned else 0.0)
        ok = face.confidence > limit
        return CheckResult(
            "face_confidence", passed(ok), round(float(face.confidence), 4), f"> {limit:.2f}", "" if ok else f"face confidence {face.confidence:.2f}",
            score=min(1.0, float(face.confidence)),
        )  # fmt: skip


@dataclass(frozen=True)
class FaceQuality:
    """A whole face, not a smeared one; only where the pack measures it. ``share``: of the limit, less for an image that is not finished."""

    share: float = 1.0

    def __call__(self, context: CheckContext) -> CheckResult | None:
        quality = context.seen.measure("face_quality")
        if quality is None:
            return None
        limit = self.share * context.limits.min_face_quality
        ok = quality >= limit
        return CheckResult(
            "face_quality", passed(ok), round(quality, 4), f">= {limit:g}", "" if ok else f"the face is smeared ({quality:.2f})", score=quality,
        )  # fmt: skip
