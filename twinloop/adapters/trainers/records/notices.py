"""What trainers say of the record in their work folder, whoever does the training; without PyTorch."""

from __future__ import annotations

from pathlib import Path


def begins_anew(work: Path) -> str:
    """Where the steps that were trained in ``work`` cannot be gone on from."""
    return (
        f"The training begun in {work} was one of other photos or settings, or its record is damaged; this one begins"
        " at step 1."
    )
