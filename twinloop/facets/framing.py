"""How much of the picture the face takes."""

from __future__ import annotations

from twinloop.domain.facet import DefinedFacet, Phrase, one_of
from twinloop.domain.observation import Observation, Reading

VALUES = ("close_up", "portrait", "half_body", "full_body")
CLOSE_UP_FROM = 0.55
PORTRAIT_FROM = 0.36
HALF_BODY_FROM = 0.15
"""Face box height as a share of the image height; the last is half-way between what ``prep --framing half`` and
``full`` cut (1/5 and 1/9)."""
LEGS = 5.5
"""Heights of the face box from the chin to the bottom of the picture that a standing person fills down to the knees. A
person of 7.5 heads has 5.9 face boxes of 0.75 of a head from chin to knees."""


def _judge(seen: Observation) -> Reading:
    share = seen.measure("face_share")
    if share is None:
        return Reading.unknown()
    if share >= CLOSE_UP_FROM:
        return one_of(VALUES, "close_up")
    if share >= HALF_BODY_FROM:
        return one_of(VALUES, "portrait" if share >= PORTRAIT_FROM else "half_body")
    return one_of(VALUES, "full_body") if _has_room_for_legs(seen) else Reading.unknown()


def _has_room_for_legs(seen: Observation) -> bool:
    """Whether the picture goes on so far below the face.

    A small face low in a picture may be anybody at a table: that cannot be told.
    """
    face = seen.face
    return face is not None and seen.height - face.box.y1 >= LEGS * face.box.height


FACET = DefinedFacet(
    name="framing",
    values=VALUES,
    # full_body has no share: the face is too small there to teach the person, so it is counted and captioned but never
    # lacking
    shares={"close_up": 0.20, "portrait": 0.30, "half_body": 0.10},
    phrases={
        "close_up": Phrase(("close-up portrait",), ("close-up, face",), wish="taken close up"),
        "portrait": Phrase(("head and shoulders portrait",), ("portrait",), wish="of head and shoulders"),
        "half_body": Phrase(("half-body shot, from the waist up",), ("upper body",), wish="from the waist up"),
        "full_body": Phrase(("full-body shot",), ("full body",), wish="from head to foot"),
    },
    needs=("faces",),
    judge=_judge,
)
