"""What all work in worker processes has in common: with which models, on which faces, in how many processes."""

from __future__ import annotations

MODELS = "models"
MIN_FACE = 40
"""Pixels."""


def worker_count(asked: int | None, most: int) -> int:
    """How many processes: what was asked for (0 = none, all in this one), else one for each core, ``most`` at most."""
    from twinloop.adapters.cores import usable_cores

    return min(most, usable_cores()) if asked is None else asked
