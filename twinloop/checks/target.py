"""Did we get what was asked for?"""

from __future__ import annotations

from dataclasses import dataclass

from twinloop.checks.base import CheckContext
from twinloop.domain.verdicts import CheckResult, Outcome
from twinloop.facets.face_angle import degrees_to

NO_TARGET = (
    "no target, because generation_metadata.json beside the images does not tell it, and the file name is not of the"
    " form synthetic_<facet>_<value>_<number>_<date>_<time>"
)
"""Why nothing is known of what an image was made for: it is then unsure at best."""


@dataclass(frozen=True)
class OnTarget:
    """The facet value that the shot was made for, seen by the same ruler that found the gap.

    A head angle within ``border`` degrees outside its class is unsure: that is the ruler's own error.
    """

    border: float = 5.0

    def __call__(self, context: CheckContext) -> CheckResult | None:
        facet = context.facets.get(context.facet)
        if facet is None or context.value not in facet.values:
            return CheckResult("on_target", Outcome.UNSURE, None, context.value, _unknown(context.facet, context.value))
        reading = facet.classify(context.seen)
        got = ", ".join(reading.present) or "none"
        if context.value in reading.present:
            return CheckResult("on_target", Outcome.APPROVED, got, context.value, score=1.0)
        if context.value not in reading.absent:
            return CheckResult(
                "on_target", Outcome.UNSURE, None, context.value, f"{context.facet} could not be measured"
            )
        pose = context.seen.pose
        if context.facet == "face_angle" and pose is not None:
            off = degrees_to(context.value, pose.yaw)
            if off <= self.border:
                return CheckResult(
                    "on_target",
                    Outcome.UNSURE,
                    got,
                    context.value,
                    f"{off:.0f} degrees from {context.value}, within the ruler's error",
                    0.5,
                )
        return CheckResult(
            "on_target", Outcome.REJECTED, got, context.value, f"asked for {context.value}, got {got}", 0.0
        )


def _unknown(facet: str, value: str) -> str:
    return f"nothing here knows '{facet}: {value}'" if facet else NO_TARGET
