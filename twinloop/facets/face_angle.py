"""Where the head points: front, three-quarter, profile."""

from __future__ import annotations

from twinloop.domain.facet import BARE, DefinedFacet, Phrase, one_of
from twinloop.domain.observation import Observation, Reading
from twinloop.facets.composition import eyes_closed

FRONT_BELOW = 20.0
"""Degrees of |yaw| under which a head counts as frontal."""
PROFILE_FROM = 50.0
"""Degrees of |yaw| from which a head counts as a profile."""

FILM = "or film a slow turn of the head (twinloop vault frames)"
"""The other way to photos of turned heads."""

VALUES = ("front", "three_quarter", "profile")


def angle_of(yaw: float) -> str:
    """The class of a yaw in degrees, either side."""
    turned = abs(yaw)
    if turned < FRONT_BELOW:
        return "front"
    return "three_quarter" if turned < PROFILE_FROM else "profile"


def degrees_to(value: str, yaw: float) -> float:
    """How many degrees a yaw is outside the class ``value``; 0 inside."""
    low, high = {
        "front": (0.0, FRONT_BELOW),
        "three_quarter": (FRONT_BELOW, PROFILE_FROM),
        "profile": (PROFILE_FROM, 180.0),
    }[value]
    turned = abs(yaw)
    return max(low - turned, turned - high, 0.0)


def _judge(seen: Observation) -> Reading:
    return Reading.unknown() if seen.pose is None else one_of(VALUES, angle_of(seen.pose.yaw))


def _wording(seen: Observation, value: str) -> int:
    """To the left or to the right; of a frontal head with closed eyes not that it looks at anybody."""
    if value == "front":
        return BARE if eyes_closed(seen) else 0
    return int(seen.pose is not None and seen.pose.yaw > 0)


FACET = DefinedFacet(
    name="face_angle",
    values=VALUES,
    shares={"front": 0.30, "three_quarter": 0.30, "profile": 0.20},
    phrases={
        "front": Phrase(
            ("front view, facing the camera",),
            ("straight-on, looking at viewer",),
            ("profile",),
            wish="from the front",
            bare="front view, facing the camera",
            bare_tags="straight-on, facing viewer",
        ),
        "three_quarter": Phrase(
            ("three-quarter view, head turned to the left", "three-quarter view, head turned to the right"),
            ("from side",),
            wish="in three-quarter view",
        ),
        "profile": Phrase(
            ("side profile view, facing left", "side profile view, facing right"),
            ("profile",),
            ("front view",),
            negative_tags=("straight-on",),
            wish="in profile",
        ),
    },
    needs=("faces", "pose"),
    judge=_judge,
    wording=_wording,
)
