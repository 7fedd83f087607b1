"""From blendshapes to the product's expressions: a handful of written rules, no training.

The rules name what several signs agree on, and leave the rest unnamed. Lowered brows alone are no anger: they are as often anatomy, sun,
glasses or a bowed head (over the photos of one calm man they average up to 0.56, of another 0.00). An open mouth alone is no surprise: it speaks.
A doubt competes with the expressions like one of them; where it wins, none is likely and the expression facet says "cannot tell".
The limits were set on photos, by eye (``bench/expressions.py``; docs/log.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

EAR_CLOSED_BELOW = 0.15
"""Half-way between the medians of open (0.27) and closed (0.07) eyes, a little to the closed side."""
_LAUGH_ALLOWANCE = 0.05
"""A laugh narrows eyes to 0.11-0.17 without closing them: the border moves down by this much for a full smile."""
_EAR_SOFTNESS = 0.02
_NEUTRAL = 0.30
"""What any expression has to beat; blendshapes are rarely exactly zero."""
_DOUBT = 0.60
"""Evidence of a full doubt: silences what is neutral and what is half there, not what is plain."""
_SHARPNESS = 9.0


def expression_scores(shapes: Mapping[str, float], eye_ratio: float, covered: bool = False) -> dict[str, float]:
    """Named measures from blendshapes (0..1 by ARKit name) and the eye aspect ratio of the more open eye.

    Args:
        covered: dark lenses hide eyes and brows, so that what the mesh says of them is a guess.

    Returns:
        ``smile``, ``jaw_open``, ``brow_up``, ``brow_down``, ``eyes_open`` (all 0..1) and ``expression.<value>`` (their sum is 1 less the doubt).
    """
    smile, brow_down = _both(shapes, "mouthSmile"), _both(shapes, "browDown")
    brow_up = max(shapes["browInnerUp"], _both(shapes, "browOuterUp"))
    return {
        "smile": smile,
        "jaw_open": shapes["jawOpen"],
        "brow_up": brow_up,
        "brow_down": brow_down,
        "eyes_open": eyes_open(eye_ratio, smile),
        **_expressions(shapes, smile, brow_down, brow_up, covered),
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


def _expressions(
    shapes: Mapping[str, float], smile: float, brow_down: float, brow_up: float, covered: bool
) -> dict[str, float]:
    jaw, bared, press = shapes["jawOpen"], _both(shapes, "mouthUpperUp"), _both(shapes, "mouthPress")
    mouth_open = min(1.0, jaw / 0.25)
    unsmiling = max(0.0, 1.0 - 1.5 * smile)
    seen = 0.0 if covered else 1.0
    teeth = min(_rise(brow_down, 0.1, 0.2), _rise(bared, 0.35, 0.55))
    chin = min(_rise(brow_down, 0.4, 0.6), _rise(shapes["mouthShrugLower"], 0.55, 0.75))
    pout = min(_rise(brow_down, 0.25, 0.35), _rise(shapes["mouthShrugUpper"], 0.15, 0.25))
    doubts = (
        _rise(smile, 0.15, 0.3) - _rise(smile, 0.4, 0.55),  # a soft smile, or only the shape of this mouth
        _rise(brow_down, 0.25, 0.4) * unsmiling,
        _rise(jaw, 0.05, 0.15) * unsmiling,
        _rise(bared, 0.15, 0.3) * unsmiling,
        float(covered),
    )
    evidence = {
        "neutral": _NEUTRAL,
        "smile": smile * (1.0 - mouth_open),
        "laughing": smile * mouth_open,
        "surprised": seen * min(_rise(jaw, 0.1, 0.25), _rise(brow_up, 0.3, 0.6)) * unsmiling,
        "angry": seen * max(teeth, chin, pout) * unsmiling,
        "serious": seen * (0.8 * press + 0.5 * _both(shapes, "mouthFrown")) * unsmiling,
    }
    powers = {name: math.exp(_SHARPNESS * value) for name, value in evidence.items()}
    total = sum(powers.values()) + math.exp(_SHARPNESS * _DOUBT * max(doubts))
    return {f"expression.{name}": power / total for name, power in powers.items()}
