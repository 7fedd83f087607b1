"""Where the picture was taken."""

from __future__ import annotations

from twinloop.domain.facet import BARE, DefinedFacet, Phrase, most_probable, one_of
from twinloop.domain.observation import Observation, Reading
from twinloop.facets.setting_tags import place_of, told_by_tags

VALUES = ("indoor", "outdoor", "studio", "casual")
AT_LEAST = 0.4


def _judge(seen: Observation) -> Reading:
    if told_by_tags(seen):
        place = place_of(seen)
        return Reading.unknown() if place is None else one_of(VALUES, place)
    return most_probable(seen, "setting", VALUES, AT_LEAST)


def _wording(seen: Observation, value: str) -> int:
    """Tags tell that a photo was taken indoors, not that it was in a living room."""
    return BARE if told_by_tags(seen) else 0


FACET = DefinedFacet(
    name="setting",
    values=VALUES,
    shares={"indoor": 0.20, "outdoor": 0.20, "studio": 0.15, "casual": 0.15},
    phrases={
        "indoor": Phrase(("indoors, in a living room",), ("indoors",), wish="taken indoors", bare="indoors"),
        "outdoor": Phrase(("outdoors, in a park",), ("outdoors",), wish="taken outdoors", bare="outdoors"),
        "studio": Phrase(
            ("studio portrait, plain backdrop",),
            ("simple background",),
            wish="taken in a studio",
            bare="plain backdrop",
            bare_tags="simple background",
        ),
        "casual": Phrase(
            ("casual street setting, brick wall",),
            ("street, brick wall",),
            wish="taken in casual surroundings",
            bare="on a street",
            bare_tags="street",
        ),
    },
    needs=("setting",),
    judge=_judge,
    wording=_wording,
)
