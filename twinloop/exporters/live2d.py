"""Drafts of Live2D expressions: ``*.exp3.json`` over the standard parameter names, to be adjusted to a rig by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

FADE = 0.5
"""Seconds of fading in and out."""

DRAFTS: Mapping[str, Mapping[str, float]] = {
    "neutral": {},
    "smile": {"ParamMouthForm": 1.0, "ParamEyeLSmile": 0.6, "ParamEyeRSmile": 0.6, "ParamCheek": 0.3},
    "serious": {
        "ParamMouthForm": -0.3,
        "ParamBrowLY": -0.3,
        "ParamBrowRY": -0.3,
        "ParamBrowLForm": -0.3,
        "ParamBrowRForm": -0.3,
    },
    "laughing": {
        "ParamMouthForm": 1.0,
        "ParamMouthOpenY": 0.8,
        "ParamEyeLSmile": 1.0,
        "ParamEyeRSmile": 1.0,
        "ParamEyeLOpen": -0.6,
        "ParamEyeROpen": -0.6,
        "ParamBrowLY": 0.3,
        "ParamBrowRY": 0.3,
        "ParamCheek": 0.5,
    },
    "surprised": {
        "ParamMouthOpenY": 0.7,
        "ParamMouthForm": -0.2,
        "ParamEyeLOpen": 0.3,
        "ParamEyeROpen": 0.3,
        "ParamBrowLY": 0.9,
        "ParamBrowRY": 0.9,
    },
    "angry": {
        "ParamMouthForm": -0.8,
        "ParamBrowLY": -0.6,
        "ParamBrowRY": -0.6,
        "ParamBrowLAngle": -0.8,
        "ParamBrowRAngle": -0.8,
        "ParamBrowLForm": -0.8,
        "ParamBrowRForm": -0.8,
        "ParamEyeLOpen": -0.15,
        "ParamEyeROpen": -0.15,
    },
}
"""Offsets on Live2D's standard parameters (usual ranges: -1..1, eyes and mouth opening 0..1). A judgement, not a
measurement."""


def exp3(name: str) -> dict[str, Any] | None:
    """One expression file; None for an expression without a draft.

    Only ``Add`` is used: VTube Studio ignores ``Multiply``.
    """
    draft = DRAFTS.get(name)
    if draft is None:
        return None
    return {
        "Type": "Live2D Expression",
        "FadeInTime": FADE,
        "FadeOutTime": FADE,
        "Parameters": [{"Id": key, "Value": value, "Blend": "Add"} for key, value in draft.items()],
    }


def exp3_bytes(name: str) -> bytes | None:
    """The same as the bytes of a file."""
    data = exp3(name)
    return None if data is None else (json.dumps(data, indent=2) + "\n").encode()
