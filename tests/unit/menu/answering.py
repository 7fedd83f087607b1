"""Answers given to the menu, in order."""

from __future__ import annotations

from typing import Any


def answers(**more: Any) -> dict[str, Any]:
    return {
        "shall_it_be": ["pipeline", "quit"],
        "with_the_photos": "my photos",
        "base_model": "nano",
        "which_detectors": "nano",
        **more,
    }
