"""Where the picture was taken."""

from __future__ import annotations

from twinloop.domain.facet import DefinedFacet, Phrase, most_probable
from twinloop.domain.observation import Observation, Reading

VALUES = ("indoor", "outdoor", "studio", "casual")
AT_LEAST = 0.4


def _judge(seen: Observation) -> Reading:
    return most_probable(seen, "setting", VALUES, AT_LEAST)


FACET = DefinedFacet(
    name="setting",
    values=VALUES,
    shares={"indoor": 0.20, "outdoor": 0.20, "studio": 0.15, "casual": 0.15},
    phrases={
        "indoor": Phrase(("indoors, in a living room",), ("indoors, in a living room",), wish="taken indoors"),
        "outdoor": Phrase(("outdoors, in a park",), ("outdoors, in a park",), wish="taken outdoors"),
        "studio": Phrase(
            ("studio portrait, plain backdrop",), ("studio portrait, plain backdrop",), wish="taken in a studio"
        ),
        "casual": Phrase(
            ("casual street setting, brick wall",),
            ("casual street setting, brick wall",),
            wish="taken in casual surroundings",
        ),
    },
    needs=("setting",),
    judge=_judge,
)
