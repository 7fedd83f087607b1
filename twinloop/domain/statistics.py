"""Intervals for small samples. Everything deterministic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A measured figure with its 95 % interval and the number of images behind it."""

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, Any]:
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4), "n": self.n}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Estimate:
        return cls(float(data["value"]), float(data["low"]), float(data["high"]), int(data["n"]))


def wilson(successes: int, n: int, z: float = 1.96) -> Estimate:
    """Wilson score interval of a share (Wilson 1927). With n = 0 nothing is known: the interval is 0..1."""
    if not 0 <= successes <= n:
        raise ValueError(f"need 0 <= successes <= n, got {successes} of {n}")
    if n == 0:
        return Estimate(0.0, 0.0, 1.0, 0)
    p = successes / n
    denominator = 1 + z * z / n
    center = (p + z * z / (2 * n)) / denominator
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / denominator
    return Estimate(p, max(0.0, min(p, center - half)), min(1.0, max(p, center + half)), n)


def bootstrap_mean(values: Sequence[float], seed: int = 0, rounds: int = 2000) -> Estimate:
    """Mean with a percentile bootstrap 95 % interval (Efron 1979), resampled with a fixed seed."""
    data = np.asarray(values, dtype=np.float64)
    if data.size == 0:
        return Estimate(0.0, 0.0, 0.0, 0)
    rng = np.random.default_rng(seed)
    means = data[rng.integers(0, data.size, size=(rounds, data.size))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(data.mean()), float(low), float(high), int(data.size))


def paired_difference(before: Sequence[float], after: Sequence[float], seed: int = 0) -> Estimate:
    """Mean of after - before over the same prompts and seeds, with its bootstrap interval; lengths must agree."""
    if len(before) != len(after):
        raise ValueError(f"paired samples differ in length: {len(before)} and {len(after)}")
    return bootstrap_mean([b - a for a, b in zip(before, after, strict=True)], seed)
