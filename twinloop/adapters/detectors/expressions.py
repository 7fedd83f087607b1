"""From blendshapes to the product's expressions: a handful of written rules, no training.

The rules name what several signs agree on, and leave the rest unnamed: a caption with a wrong expression teaches a
wrong word. Lowered brows alone are no anger: they are as often anatomy, sun, glasses or a bowed head (over the photos
of one calm man they average up to 0.56, of another 0.00). An open mouth alone is no surprise: it speaks. ``mouthSmile``
alone is no smile: calm people reach 0.6 (beards, broad mouths), so the place of the corners has a say. An open mouth
laughs only with its upper teeth bare, and a mouth that bares the lower teeth as well strains, unless the smile is full.
A doubt competes with the expressions like one of them; where it wins, none is likely and the expression facet says
"cannot tell". The limits were set on photos, by eye (``bench/expressions.py``, ``bench/labels/expressions.json``;
docs/log.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

EAR_CLOSED_BELOW = 0.15
"""Half-way between the medians of open (0.27) and closed (0.07) eyes, a little to the closed side."""
_LAUGH_ALLOWANCE = 0.05
"""A laugh narrows eyes to 0.11-0.17 without closing them: the border moves down by this much for a full smile."""
_EAR_SOFTNESS = 0.02
_CORNERS = -0.04
"""Corner height at which ``mouthSmile`` is taken as it is: between calm mouths (median -0.06) and soft smiles
(-0.03)."""
_CORNER_WEIGHT = 16.0
_MOST_RAISED, _MOST_LOWERED = 0.25, 0.30
"""How far the corners may move a smile up and down."""
_NEUTRAL = 0.30
"""What any expression has to beat; blendshapes are rarely exactly zero."""
_DOUBT = 0.60
"""Evidence of a full doubt: silences what is neutral and what is half there, not what is plain."""
_STRAIN = 2.0
"""To the net a strained mouth is a plain smile (``mouthSmile`` up to 0.94), so this doubt beats the plainest."""
_SHARPNESS = 9.0


def expression_scores(shapes: Mapping[str, float], eye_ratio: float, corners: float, covered: bool) -> dict[str, float]:
    """Named measures from blendshapes (0..1 by ARKit name), the eye aspect ratio of the more open eye and the height of
    the mouth's corners.

    Args:
        corners: above the middle between nose and lips, in heights of the face (``mediapipe_face.corner_height``).
        covered: dark lenses hide eyes and brows, so that what the mesh says of them is a guess.

    Returns:
        ``smile``, ``jaw_open``, ``brow_up``, ``brow_down``, ``eyes_open`` (all 0..1) and ``expression.<value>`` (their
        sum is 1 less the doubt).
    """
    smile = _both(shapes, "mouthSmile")
    smiling = _smiling(smile, _both(shapes, "mouthUpperUp"), corners)
    doubt = max(
        float(covered), _doubt_of_a_smile(shapes, smiling), _doubt_of_calm(shapes) * (1.0 - _rise(smiling, 0.35, 0.6))
    )
    evidence = {
        "neutral": _NEUTRAL,
        **_joy(shapes, smiling),
        **_gravity(shapes, eye_ratio, 0.0 if covered else 1.0 - _rise(max(smile, smiling), 0.1, 0.35)),
    }
    powers = {name: math.exp(_SHARPNESS * value) for name, value in evidence.items()}
    total = sum(powers.values()) + math.exp(_SHARPNESS * _DOUBT * doubt)
    return {
        "smile": smile,
        "jaw_open": shapes["jawOpen"],
        "brow_up": _brow_up(shapes),
        "brow_down": _both(shapes, "browDown"),
        "eyes_open": eyes_open(eye_ratio, smile),
        **{f"expression.{name}": power / total for name, power in powers.items()},
    }


def eyes_open(eye_ratio: float, smile: float) -> float:
    """0 = closed, 1 = open, 0.5 at the border for this smile."""
    border = EAR_CLOSED_BELOW - _LAUGH_ALLOWANCE * min(1.0, max(0.0, smile))
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, (eye_ratio - border) / _EAR_SOFTNESS))))


def _both(shapes: Mapping[str, float], name: str) -> float:
    return (shapes[f"{name}Left"] + shapes[f"{name}Right"]) / 2


def _rise(value: float, low: float, high: float) -> float:
    """0 up to ``low``, 1 from ``high``, a line between."""
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _brow_up(shapes: Mapping[str, float]) -> float:
    return max(shapes["browInnerUp"], _both(shapes, "browOuterUp"))


def _smiling(smile: float, bared: float, corners: float) -> float:
    """``mouthSmile`` and the corners of the mouth together, 0..1."""
    lowest = -_MOST_LOWERED * (1.0 - _rise(bared, 0.2, 0.35))  # a lifted upper lip leaves its corners below
    moved = min(_MOST_RAISED, max(lowest, _CORNER_WEIGHT * (corners - _CORNERS)))
    return min(1.0, max(0.0, smile + moved))


def _bares_upper_teeth(shapes: Mapping[str, float]) -> float:
    return _rise(_both(shapes, "mouthUpperUp"), 0.3, 0.45)


def _joy(shapes: Mapping[str, float], smiling: float) -> dict[str, float]:
    plain = smiling * _rise(smiling, 0.35, 0.55)
    opened = _rise(shapes["jawOpen"], 0.08, 0.24)
    return {"smile": plain * (1.0 - opened), "laughing": plain * opened * _bares_upper_teeth(shapes)}


def _gravity(shapes: Mapping[str, float], eye_ratio: float, seen: float) -> dict[str, float]:
    """Evidence of what is no joy; ``seen`` is 0 behind dark lenses and for whom smiles a little."""
    jaw, brow_down, bared = shapes["jawOpen"], _both(shapes, "browDown"), _both(shapes, "mouthUpperUp")
    chin = _rise(shapes["mouthShrugLower"], 0.55, 0.75)
    wide = max(_rise(eye_ratio, 0.3, 0.38), _rise(_both(shapes, "eyeWide"), 0.1, 0.3))
    snarl = min(_rise(brow_down, 0.1, 0.2), _rise(bared, 0.35, 0.55))
    pout = min(_rise(brow_down, 0.25, 0.35), _rise(shapes["mouthShrugUpper"], 0.15, 0.25)) * (1.0 - chin)
    return {
        "surprised": seen * min(_rise(jaw, 0.1, 0.25), _rise(_brow_up(shapes), 0.3, 0.6), wide),
        "angry": seen * max(snarl, pout),
        "serious": seen * min(_rise(brow_down, 0.4, 0.6), chin),
    }


def _doubt_of_a_smile(shapes: Mapping[str, float], smiling: float) -> float:
    """Half a smile, or only the shape of this mouth; one that speaks; one that strains.

    The last goes up to ``_STRAIN``.
    """
    speaks = _rise(shapes["jawOpen"], 0.08, 0.16) * (1.0 - _bares_upper_teeth(shapes))
    full = _rise(_both(shapes, "mouthSmile"), 0.94, 0.97)
    strains = _STRAIN * _rise(_both(shapes, "mouthLowerDown"), 0.45, 0.55) * (1.0 - full)
    return max(_rise(smiling, 0.3, 0.45) - _rise(smiling, 0.58, 0.66), speaks, strains)


def _doubt_of_calm(shapes: Mapping[str, float]) -> float:
    """Brows or a mouth that are not at rest: 0..1."""
    return max(
        _rise(_both(shapes, "browDown"), 0.25, 0.4),
        _rise(shapes["jawOpen"], 0.03, 0.08),
        _rise(_both(shapes, "mouthUpperUp"), 0.15, 0.3),
        _rise(_both(shapes, "mouthPress"), 0.4, 0.6),
        _rise(_both(shapes, "mouthDimple"), 0.14, 0.24),
        _rise(_both(shapes, "mouthFrown"), 0.12, 0.24),
    )
