"""What is in the picture beside the face: hands, eyes. Several values may hold at once."""

from __future__ import annotations

from twinloop.domain.facet import DefinedFacet, Phrase
from twinloop.domain.observation import Observation, Reading

HAND_CONFIDENCE = 0.5
EYES_OPEN = 0.5
"""``eyes_open`` is 1 for open and 0 for closed; a laugh narrows eyes but stays above this in the packs we ship."""
SUNGLASSES = 0.5
"""``sunglasses`` from which the eyes are called covered, not closed."""
CLOSED, UNTOLD = 0, 2
"""Places among the phrases for missing eyes: that they are closed, and that which says nothing."""


def _judge(seen: Observation) -> Reading:
    found: dict[str, bool] = {}
    if "hands" in seen.measured:
        found["hands_visible"] = _hands(seen) > 0
    eyes_open = seen.measure("eyes_open")
    if eyes_open is not None:
        found["eyes_visible"] = eyes_open >= EYES_OPEN
    return Reading(tuple(v for v, yes in found.items() if yes), tuple(v for v, yes in found.items() if not yes))


def eyes_closed(seen: Observation) -> bool:
    """Whether the eyes were seen to be closed: not hidden, and not only not found."""
    eyes_open = seen.measure("eyes_open")
    return eyes_open is not None and eyes_open < EYES_OPEN and _missing_eyes(seen) == CLOSED


def _hands(seen: Observation) -> int:
    """Hands that the detector is sure of."""
    return sum(part.kind == "hand" and part.confidence >= HAND_CONFIDENCE for part in seen.parts)


def _wording(seen: Observation, value: str) -> int:
    """One hand or both; eyes closed, behind dark lenses, or only not found (``eyes_untold``)."""
    if value == "hands_visible":
        return int(_hands(seen) > 1)
    return _missing_eyes(seen)


def _missing_eyes(seen: Observation) -> int:
    if seen.measure("eyes_untold"):
        return UNTOLD
    return int((seen.measure("sunglasses") or 0.0) >= SUNGLASSES)  # 0 = CLOSED


FACET = DefinedFacet(
    name="composition",
    values=("hands_visible", "eyes_visible"),
    shares={"hands_visible": 0.30, "eyes_visible": 0.70},
    phrases={
        "hands_visible": Phrase(
            ("hands visible, raised hand", "both hands visible"),
            ("hand up", "hands up"),
            ("extra fingers", "bad anatomy"),
            negative_tags=("extra digits", "bad hands"),
            wish="with hands visible",
            beside={"framing": ("portrait", "half_body")},
        ),
        "eyes_visible": Phrase(
            ("eyes open",), ("",), ("eyes closed", "sunglasses"), usual=True,
            missing=("eyes closed", "wearing sunglasses", ""), wish="with open eyes, no dark glasses",
            negative_tags=("closed eyes", "sunglasses"), missing_tags=("closed eyes", "sunglasses", ""),
        ),
    },
    needs=("hands", "eyes"),
    judge=_judge,
    wording=_wording,
    multiple=True,
)  # fmt: skip
