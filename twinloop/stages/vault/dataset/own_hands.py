"""Whose hands are in a picture: on a photo of several people those of others are no fact about this person."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from twinloop.domain.faces import Box
from twinloop.domain.observation import Observation
from twinloop.facets.composition import HAND_CONFIDENCE

REACH = 4.0
"""Heights of the face between the middle of a face and that of a hand, at most: an arm that hangs or is raised; a
stretched one is longer."""
NEARER = 2 / 3
"""How far a hand may be from this person's face over how far it is from any other, each in heights of that face, to be
surely this person's."""


def own_hands(seen: Observation, others: Sequence[Box]) -> Observation:
    """What was seen, with this person's hands only; where there are hands and none is surely this person's, hands count
    as not measured.

    Args:
        others: faces of other people on the photo, in pixels of the picture, also outside of it: a cut may hold the
            hands of a face that it left out.
    """
    faces = [*others, *(face.box for face in seen.faces[1:])]
    if not faces or seen.face is None:
        return seen
    mine = seen.face.box
    hands = [part for part in seen.parts if part.kind == "hand" and part.confidence >= HAND_CONFIDENCE]
    kept = [hand for hand in hands if _is_of(hand.box, mine, faces)]
    if len(kept) == len(hands):
        return seen
    parts = (*(part for part in seen.parts if part.kind != "hand"), *kept)
    return replace(seen, parts=parts, measured=seen.measured if kept else seen.measured - {"hands"})


def _is_of(hand: Box, face: Box, others: Sequence[Box]) -> bool:
    away = _distance(hand, face)
    return away <= REACH and all(away < NEARER * _distance(hand, other) for other in others)


def _distance(hand: Box, face: Box) -> float:
    """Between the middles, in heights of the face."""
    (x, y), (face_x, face_y) = hand.center, face.center
    return math.hypot(x - face_x, y - face_y) / max(face.height, 1.0)
