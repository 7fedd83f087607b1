"""Are the hands in a made image formed as hands are?"""

from __future__ import annotations

from dataclasses import dataclass

from twinloop.checks.base import CheckContext
from twinloop.domain.hands import PRESENCE, hand_doubt
from twinloop.domain.verdicts import CheckResult, Outcome
from twinloop.facets.composition import HAND_CONFIDENCE

WELL_FORMED = "well formed"
ASKED = ("composition", "hands_visible")


@dataclass(frozen=True)
class Hands:
    """Generators melt hands, and a detector finds those as well: any hand in the image that is in doubt makes it
    unsure.

    Where hands are only found as boxes nothing is known of their form: unsure where they were asked for, else left out.
    Left out, too, where there is no hand, and where the detector knows only the hands of a drawn world.
    """

    def __call__(self, context: CheckContext) -> CheckResult | None:
        hands = [part for part in context.seen.parts if part.kind == "hand" and part.confidence >= HAND_CONFIDENCE]
        shaped = [hand for hand in hands if hand.shape is not None]
        doubts = [doubt for hand in shaped if (doubt := hand_doubt(hand))]
        least = round(min((float(hand.confidence) for hand in shaped), default=0.0), 4)
        if doubts:
            return CheckResult("hands", Outcome.UNSURE, least, WELL_FORMED, f"a hand may be badly formed: {doubts[0]}")
        if any(hand.box_only for hand in hands) and (context.facet, context.value) == ASKED:
            return CheckResult(
                "hands", Outcome.UNSURE, None, WELL_FORMED,
                "the form of the hands is not measured: the hand detector draws boxes only",
            )  # fmt: skip
        return CheckResult("hands", Outcome.APPROVED, least, f">= {PRESENCE:g}, {WELL_FORMED}") if shaped else None
