"""Is a hand formed as hands are? What 21 landmarks can tell of it, and no more: fingers cannot be counted with them,
they are always five.

A picture shortens a bone that points away and never lengthens one, so lengths have upper bounds only. They are taken
against the palm, of which the longest of several distances counts: it cannot be short in all of them at once. The
bounds lie about a quarter above what hands on photos show in any pose (docs/log.md).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from twinloop.domain.faces import FloatArray, Part

PRESENCE = 0.8
"""Least probability of a hand at the detector's first look."""
PRESENCE_ALWAYS = 0.5
"""The same over all looks."""
SPREAD = 0.12
"""Most that the looks may differ, in sizes of the palm. Hands on photos: 0.03 in the middle."""
HANDEDNESS = 0.65
"""Least sureness of whether it is a left or a right hand."""
BONE, FINGER, KNUCKLES, THUMB_BASE = 0.85, 1.75, 0.42, 0.70
"""Longest bone of a finger, longest finger, widest step between neighbouring knuckles, wrist to thumb; in sizes of the
palm."""
TOUCHING, MOST_TOUCHING = 0.03, 2
"""Fingertips nearer than that (in sizes of the palm) lie on one another, as a side view shows them; so many pairs at
most."""
_FINGERS = np.arange(1, 21).reshape(5, 4)
_WRIST, _FIRST_KNUCKLE, _LAST_KNUCKLE = 0, 5, 17
_KNUCKLES = (5, 9, 13, 17)
_WIDTH = 1.5
"""Length of a palm over the width of its knuckles."""


def palm_size(points: FloatArray) -> float:
    """Length of the palm in pixels, from (21, 2) landmarks: the longest of wrist to each knuckle, and the width of the
    knuckles as a length.
    """
    lengths = np.linalg.norm(points[list(_KNUCKLES)] - points[_WRIST], axis=1)
    width = float(np.linalg.norm(points[_FIRST_KNUCKLE] - points[_LAST_KNUCKLE]))
    return max(float(lengths.max()), _WIDTH * width)


def malformed(points: FloatArray) -> str:
    """What no hand looks like, in words; "" where nothing speaks against (21, 2) landmarks in pixels."""
    palm = palm_size(points)
    if not np.isfinite(points).all() or palm <= 0:
        return "its landmarks make no hand"
    bones = np.linalg.norm(np.diff(points[_FINGERS], axis=1), axis=2) / palm
    if bones.max() > BONE or bones.sum(axis=1).max() > FINGER:
        return "a finger is too long for the palm"
    if np.linalg.norm(np.diff(points[list(_KNUCKLES)], axis=0), axis=1).max() > KNUCKLES * palm:
        return "the knuckles are too far apart"
    if np.linalg.norm(points[1] - points[_WRIST]) > THUMB_BASE * palm:
        return "the thumb does not begin at the wrist"
    tips = points[_FINGERS[:, 3]]
    if sum(float(np.linalg.norm(a - b)) < TOUCHING * palm for a, b in combinations(tips, 2)) > MOST_TOUCHING:
        return "the fingertips lie on one another"
    return ""


def hand_doubt(hand: Part) -> str:
    """Why a hand may be badly formed, in words; "" where nothing speaks against it, or its detector tells nothing of
    its shape.
    """
    shape = hand.shape
    if shape is None:
        return ""
    if hand.confidence < PRESENCE or shape.presence < PRESENCE_ALWAYS:
        return f"it is hardly a hand (presence {min(hand.confidence, shape.presence):.2f})"
    if shape.spread > SPREAD:
        return f"its fingers cannot be told apart (looks at it differ by {shape.spread:.2f} of the palm)"
    if max(shape.handedness, 1.0 - shape.handedness) < HANDEDNESS:
        return "it is neither a left nor a right hand"
    return malformed(shape.landmarks)
