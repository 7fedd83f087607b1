"""From blendshapes to the product's expressions: a handful of written rules, no training.

Real photos have no gold standard for "serious" against "neutral"; where the rules cannot tell, several values stay near each
other and the expression facet says "cannot tell".
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
_SHARPNESS = 9.0


def expression_scores(shapes: Mapping[str, float], eye_ratio: float) -> dict[str, float]:
    """Named measures from blendshapes (0..1 by ARKit name) and the eye aspect ratio of the more open eye.

    Returns:
        ``smile``, ``jaw_open``, ``brow_up``, ``brow_down``, ``eyes_open`` (all 0..1) and ``expression.<value>`` (sums to 1).
    """
    smile, brow_down = _both(shapes, "mouthSmile"), _both(shapes, "browDown")
    brow_up = max(shapes["browInnerUp"], _both(shapes, "browOuterUp"))
    jaw = shapes["jawOpen"]
    return {
        "smile": smile,
        "jaw_open": jaw,
        "brow_up": brow_up,
        "brow_down": brow_down,
        "eyes_open": eyes_open(eye_ratio, smile),
        **_expressions(shapes, smile, brow_down, brow_up),
    }


def eyes_open(eye_ratio: float, smile: float) -> float:
    """0 = closed, 1 = open, 0.5 at the border for this smile."""
    border = EAR_CLOSED_BELOW - _LAUGH_ALLOWANCE * min(1.0, max(0.0, smile))
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, (eye_ratio - border) / _EAR_SOFTNESS))))


def _both(shapes: Mapping[str, float], name: str) -> float:
    return (shapes[f"{name}Left"] + shapes[f"{name}Right"]) / 2


def _expressions(shapes: Mapping[str, float], smile: float, brow_down: float, brow_up: float) -> dict[str, float]:
    jaw = shapes["jawOpen"]
    mouth_open = min(1.0, jaw / 0.25)
    unsmiling = max(0.0, 1.0 - 1.5 * smile)
    bared = 0.3 * _both(shapes, "mouthUpperUp")
    evidence = {
        "neutral": _NEUTRAL,
        "smile": smile * (1.0 - mouth_open),
        "laughing": smile * mouth_open,
        "surprised": min(1.0, 1.2 * jaw + 0.4 * brow_up + 0.4 * _both(shapes, "eyeWide")) * mouth_open * unsmiling,
        "angry": (1.5 * brow_down + bared) * unsmiling if brow_down > 0.1 else 0.0,
        "serious": (0.8 * _both(shapes, "mouthPress") + 0.4 * brow_down + 0.5 * _both(shapes, "mouthFrown"))
        * unsmiling,
    }
    powers = {name: math.exp(_SHARPNESS * value) for name, value in evidence.items()}
    total = sum(powers.values())
    return {f"expression.{name}": power / total for name, power in powers.items()}
