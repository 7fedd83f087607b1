"""Where what is built in lies."""

from __future__ import annotations

from pathlib import Path

from twinloop.domain.choices import NANO

NANO_HOME = Path(__file__).parents[1] / "nano"


def base_model_path(name: str) -> str:
    """The folder of the embedded base for the word ``nano``; everything else (hub id, folder, file) stays as it is."""
    return str(NANO_HOME / "base") if name == NANO else name


def nano_detectors_path() -> Path:
    """The folder of the embedded detectors."""
    return NANO_HOME / "detectors"
