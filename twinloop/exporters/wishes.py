"""Wishes: what is said against a photo that could stand in a place. Small rules in lists; "" = nothing to say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twinloop.exporters.candidates import Candidate
from twinloop.facets import expression
from twinloop.facets.composition import EYES_OPEN, HAND_CONFIDENCE
from twinloop.facets.lighting import FACET as LIGHTING

Says = Callable[[Candidate], str]
"""What is said against a candidate; "" = nothing."""
NOTE, DOUBT, FLAW, SPOILT = 1, 2, 3, 6
"""How much a remark weighs in the choice. A note is for the reader; in doubt nothing was measured, which hides a flaw
more often than a note does harm; a flaw is seen at once; and a spoilt picture is no use for its place while another one
is there."""


@dataclass(frozen=True)
class Wish:
    """One rule, and how much breaking it weighs."""

    says: Says
    weight: int = NOTE


def wish(weight: int) -> Callable[[Says], Wish]:
    """A rule of that weight."""
    return lambda says: Wish(says, weight)


JAW_OPEN = 0.15
OPEN_MOUTHED = ("laughing", "surprised")
LEVEL = 12.0
"""Degrees of pitch or tilt that still look straight."""
NEIGHBOUR = 0.25
"""Another face of this share of the subject's area counts as a second person in the picture."""
PERSON_ROOM = 0.5
"""How far around the face, in face sizes, another one disturbs."""


def shown_expression(candidate: Candidate) -> str | None:
    """The expression that the built-in ruler reads; None = not measured or not sure."""
    reading = expression.FACET.classify(candidate.seen)
    return reading.present[0] if reading.present else None


@wish(SPOILT)
def eyes_open(candidate: Candidate) -> str:
    value = candidate.seen.measure("eyes_open")
    return f"eyes closed or hidden (measured {value:.2f})" if value is not None and value < EYES_OPEN else ""


@wish(FLAW)
def mouth_closed(candidate: Candidate) -> str:
    jaw = candidate.seen.measure("jaw_open")
    if jaw is not None:
        return f"mouth open (measured {jaw:.2f})" if jaw > JAW_OPEN else ""
    shown = shown_expression(candidate)
    return f"mouth probably open ({shown})" if shown in OPEN_MOUTHED else ""


@wish(FLAW)
def neutral(candidate: Candidate) -> str:
    shown = shown_expression(candidate)
    return "" if shown in (None, "neutral") else f"expression is {shown}, not neutral"


@wish(DOUBT)
def expression_known(candidate: Candidate) -> str:
    return "expression not measured" if shown_expression(candidate) is None else ""


@wish(DOUBT)
def pose_known(candidate: Candidate) -> str:
    return "head pose not measured" if candidate.face.pose is None else ""


@wish(NOTE)
def straight(candidate: Candidate) -> str:
    pose = candidate.face.pose
    if pose is None or abs(pose.pitch) <= LEVEL:
        return ""
    return f"looks {'up' if pose.pitch > 0 else 'down'} (pitch {pose.pitch:+.0f} degrees)"


@wish(NOTE)
def upright(candidate: Candidate) -> str:
    tilt = candidate.head.tilt
    return f"head tilted by {tilt:+.0f} degrees" if abs(tilt) > LEVEL else ""


@wish(NOTE)
def evenly_lit(candidate: Candidate) -> str:
    reading = LIGHTING.classify(candidate.seen)
    shown = reading.present[0] if reading.present else "normal"
    return "" if shown == "normal" else f"light is {shown.replace('_', ' ')}, not even"


@wish(NOTE)
def no_hands(candidate: Candidate) -> str:
    hands = [part for part in candidate.seen.parts if part.kind == "hand" and part.confidence >= HAND_CONFIDENCE]
    return "hands in the picture" if hands else ""


@wish(SPOILT)
def alone(candidate: Candidate) -> str:
    around = candidate.face.box.expanded(PERSON_ROOM)
    near = [
        face for face in candidate.seen.faces[1:]
        if face.box.area >= NEIGHBOUR * candidate.face.box.area and around.iou(face.box) > 0
    ]  # fmt: skip
    return "another face close by" if near else ""
