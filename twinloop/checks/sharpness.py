"""Sharp enough to train on."""

from __future__ import annotations

from dataclasses import dataclass

from twinloop.checks.base import CheckContext, passed
from twinloop.domain.verdicts import CheckResult


@dataclass(frozen=True)
class Sharpness:
    """Two rulers. ``image``: Laplacian variance of the whole image against a fixed limit, as people know it.
    ``face``: the same on the face crop at 112 px against a share of what the real photos have, which does not punish
    plain backdrops.
    """

    def __call__(self, context: CheckContext) -> CheckResult | None:
        limits = context.limits
        face = context.seen.measure("face_sharpness")
        if limits.sharpness == "face" and limits.real_sharpness is not None and face is not None:
            limit = limits.sharpness_share * limits.real_sharpness
            ok = face >= limit
            return CheckResult(
                "sharpness",
                passed(ok),
                round(face, 2),
                f">= {limit:.1f} (face)",
                "" if ok else f"blurred face ({face:.0f})",
                score=min(1.0, face / limits.real_sharpness) if limits.real_sharpness > 0 else None,
            )
        value = context.seen.measures["sharpness"]
        ok = value > limits.blur_threshold
        return CheckResult(
            "sharpness",
            passed(ok),
            round(value, 2),
            f"> {limits.blur_threshold:g} (image)",
            "" if ok else f"blurred (Laplacian variance {value:.0f})",
            score=min(1.0, value / (2 * limits.blur_threshold)) if limits.blur_threshold > 0 else None,
        )
