"""Wishes: what is said against a photo that could stand in a place. Small rules in lists; "" = nothing to say."""

from __future__ import annotations

from collections.abc import Callable

from twinloop.exporters.candidates import Candidate
from twinloop.facets import expression
from twinloop.facets.composition import EYES_OPEN, HAND_CONFIDENCE
from twinloop.facets.lighting import FACET as LIGHTING

Wish = Callable[[Candidate], str]

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


def eyes_open(candidate: Candidate) -> str:
    value = candidate.seen.measure("eyes_open")
    return f"eyes closed or hidden (measured {value:.2f})" if value is not None and value < EYES_OPEN else ""


def mouth_closed(candidate: Candidate) -> str:
    jaw = candidate.seen.measure("jaw_open")
    if jaw is not None:
        return f"mouth open (measured {jaw:.2f})" if jaw > JAW_OPEN else ""
    shown = shown_expression(candidate)
    return f"mouth probably open ({shown})" if shown in OPEN_MOUTHED else ""


def neutral(candidate: Candidate) -> str:
    shown = shown_expression(candidate)
    if shown is None:
        return "expression not measured"
    return "" if shown == "neutral" else f"expression is {shown}, not neutral"


def pose_known(candidate: Candidate) -> str:
    return "head pose not measured" if candidate.face.pose is None else ""


def straight(candidate: Candidate) -> str:
    pose = candidate.face.pose
    if pose is None or abs(pose.pitch) <= LEVEL:
        return ""
    return f"looks {'up' if pose.pitch > 0 else 'down'} (pitch {pose.pitch:+.0f} degrees)"


def upright(candidate: Candidate) -> str:
    tilt = candidate.head.tilt
    return f"head tilted by {tilt:+.0f} degrees" if abs(tilt) > LEVEL else ""


def evenly_lit(candidate: Candidate) -> str:
    reading = LIGHTING.classify(candidate.seen)
    shown = reading.present[0] if reading.present else "normal"
    return "" if shown == "normal" else f"light is {shown.replace('_', ' ')}, not even"


def no_hands(candidate: Candidate) -> str:
    hands = [part for part in candidate.seen.parts if part.kind == "hand" and part.confidence >= HAND_CONFIDENCE]
    return "hands in the picture" if hands else ""


def alone(candidate: Candidate) -> str:
    around = candidate.face.box.expanded(PERSON_ROOM)
    near = [
        face for face in candidate.seen.faces[1:]
        if face.box.area >= NEIGHBOUR * candidate.face.box.area and around.iou(face.box) > 0
    ]  # fmt: skip
    return "another face close by" if near else ""
