"""Figures over labelled pairs: identity curves, and counts that become shares with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinloop.domain.faces import Box
from twinloop.domain.statistics import wilson


def share(hits: Iterable[bool]) -> dict[str, Any]:
    """The share of hits with its Wilson interval."""
    listed = list(hits)
    return wilson(sum(listed), len(listed)).to_json()


def auc_and_eer(same: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """Area under the ROC curve, and equal error rate, of similarities of equal and of different people.

    The area is the chance that a pair of one person is more similar than a pair of two (Mann and Whitney 1947).
    """
    if not len(same) or not len(other):
        return float("nan"), float("nan")
    ranked = np.sort(other)
    below, upto = (np.searchsorted(ranked, same, side) for side in ("left", "right"))
    area = float((below + upto).mean() / (2 * len(other)))
    limits = np.sort(np.concatenate([same, other]))
    missed = np.searchsorted(np.sort(same), limits, "left") / len(same)
    taken = 1 - np.searchsorted(ranked, limits, "left") / len(other)
    best = int(np.argmin(np.abs(missed - taken)))
    return area, float((missed[best] + taken[best]) / 2)


def matches(found: Sequence[Box], wanted: Sequence[Box], least: float) -> int:
    """How many of the wanted boxes are found with at least ``least`` IoU, each by another box."""
    free, hits = list(found), 0
    for box in wanted:
        best = max(free, key=box.iou, default=None)
        if best is not None and box.iou(best) >= least:
            free.remove(best)
            hits += 1
    return hits


def f1(hits: int, found: int, wanted: int) -> float:
    """Harmonic mean of precision and recall."""
    return 2 * hits / (found + wanted) if found + wanted else 1.0
