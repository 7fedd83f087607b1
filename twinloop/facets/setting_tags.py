"""The setting by the tags that a WD14-type tagger knows (names as in Danbooru): which tag speaks for which value, and
from when it is believed.

Only tags that name the place itself: a tree, a bed or the sky may be seen through a window, or hang as a picture on the
wall.
"""

from __future__ import annotations

from collections.abc import Mapping

from twinloop.domain.observation import Observation

PREFIX = "tag."
"""Measures of tags are called ``tag.<name>``."""
TAGS: Mapping[str, tuple[str, ...]] = {
    "indoor": (
        "indoors",
        "bedroom",
        "living_room",
        "kitchen",
        "bathroom",
        "classroom",
        "library",
        "office",
        "cafe",
        "restaurant",
    ),
    "outdoor": ("outdoors", "nature", "forest", "field", "park", "garden", "beach"),
    "studio": (
        "simple_background",
        "white_background",
        "grey_background",
        "black_background",
        "blue_background",
        "brown_background",
        "pink_background",
        "gradient_background",
        "two-tone_background",
    ),
    "casual": ("street", "alley", "sidewalk", "crosswalk", "brick_wall"),
}
SURE = 0.5
"""Probability from which a tag decides."""
LIKELY = 0.35
"""Probability from which a tag of another value speaks against it: where taggers' own demo shows a tag."""


def all_tags() -> tuple[str, ...]:
    """Every tag that speaks for a value, in order."""
    return tuple(tag for tags in TAGS.values() for tag in tags)


def told_by_tags(seen: Observation) -> bool:
    """Whether tags of places were measured."""
    return any(PREFIX + tag in seen.measures for tag in all_tags())


def place_of(seen: Observation) -> str | None:
    """The value that tags are sure of while none is likely that contradicts it; a street is outdoors, and is called by
    the narrower name. None = nothing is clear, or no tags were measured."""
    scores = {
        value: max((seen.measures.get(PREFIX + tag, 0.0) for tag in tags), default=0.0) for value, tags in TAGS.items()
    }
    likely = {value for value, score in scores.items() if score >= LIKELY}
    sure = {value for value, score in scores.items() if score >= SURE}
    if likely == {"outdoor", "casual"}:
        return next((value for value in ("casual", "outdoor") if value in sure), None)
    return next(iter(sure)) if len(likely) == 1 and sure else None
