"""How much of the picture the face takes."""

from __future__ import annotations

from twinloop.domain.facet import DefinedFacet, Phrase, one_of
from twinloop.domain.observation import Observation, Reading

VALUES = ("close_up", "portrait", "half_body")
CLOSE_UP_FROM = 0.55
PORTRAIT_FROM = 0.36
"""Face box height as a share of the image height."""


def _judge(seen: Observation) -> Reading:
    share = seen.measure("face_share")
    if share is None:
        return Reading.unknown()
    if share >= CLOSE_UP_FROM:
        return one_of(VALUES, "close_up")
    return one_of(VALUES, "portrait" if share >= PORTRAIT_FROM else "half_body")


FACET = DefinedFacet(
    name="framing",
    values=VALUES,
    shares={"close_up": 0.20, "portrait": 0.30, "half_body": 0.10},
    phrases={
        "close_up": Phrase(("close-up portrait",), ("close-up portrait",)),
        "portrait": Phrase(("head and shoulders portrait",), ("head and shoulders portrait",)),
        "half_body": Phrase(("half-body shot, from the waist up",), ("half-body shot, from the waist up",)),
    },
    needs=("faces",),
    judge=_judge,
)
