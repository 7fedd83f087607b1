"""Intervals for small samples. Everything deterministic."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from twinloop.domain.json_fields import entry, number, whole

SURE = 0.975
"""Share of a distribution below the upper end of a two-sided 95 % interval."""
ROUNDS = 2000
"""Resamples of a bootstrap."""
SAME = 1e-4
"""Shares that differ by less are equal: five digits of them are kept, and differences of thirds are rounded."""


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
    def from_json(cls, data: Any) -> Estimate:
        """Raises ValueError where it is no estimate; names the field."""
        value, low, high = (entry(data, name, number) for name in ("value", "low", "high"))
        return cls(value, low, high, entry(data, "n", whole))

    def among(self, figures: int) -> Estimate:
        """The same figure as one of several, any of which could have been the one that is told of: with its interval so
        much wider that all of them together miss no more often than one alone (Bonferroni)."""
        if self.n < 2 or figures < 2:
            return self
        return self.widened(student(1 - (1 - SURE) / figures, self.n - 1) / student(SURE, self.n - 1))

    def widened(self, times: float) -> Estimate:
        """The same figure, with both ends of its interval so many times as far away."""
        low, high = (self.value + times * (end - self.value) for end in (self.low, self.high))
        return Estimate(self.value, low, high, self.n)

    def moved_by(self, deviation: float) -> Estimate:
        """The same figure where something that the images do not show moves it as well, independently of them.

        Args:
            deviation: standard deviation of what it adds.
        """
        more = NormalDist().inv_cdf(SURE) * deviation
        low, high = math.hypot(self.value - self.low, more), math.hypot(self.high - self.value, more)
        return Estimate(self.value, self.value - low, self.value + high, self.n)

    def of_pairs(self) -> Estimate:
        """The same figure as a mean over pairs of images, of which each image's value is the mean over its own pairs.

        An image is in all other images' values, too, which resampling these values does not see: such a mean (a
        U-statistic of degree two, Hoeffding 1948) varies twice as much as theirs.
        """
        return self.widened(2.0)


def wilson(successes: int, n: int) -> Estimate:
    """95 % Wilson score interval of a share (Wilson 1927). With n = 0 nothing is known: the interval is 0..1."""
    if not 0 <= successes <= n:
        raise ValueError(f"need 0 <= successes <= n, got {successes} of {n}")
    if n == 0:
        return Estimate(0.0, 0.0, 1.0, 0)
    p, z = successes / n, 1.96
    denominator = 1 + z * z / n
    center = (p + z * z / (2 * n)) / denominator
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / denominator
    return Estimate(p, max(0.0, min(p, center - half)), min(1.0, max(p, center + half)), n)


def bootstrap_mean(values: Sequence[float], seed: int = 0, within: tuple[float, float] | None = None) -> Estimate:
    """Mean with a bootstrap 95 % interval (Efron 1979), resampled with a fixed seed.

    Means of resamples of a few values vary less than means of new values would, so plain percentiles are too narrow: of
    six values they miss in one case in seven. The percentiles are taken further out by as much as Student's interval is
    wider than the normal one (the expanded percentile interval of Hesterberg 2015). No interval leaves the range of the
    values; of fewer than six it stays too narrow.

    Args:
        within: the ends of the range in which such values lie, of shares and their changes. Where all values are equal,
            resampling sees no spread; the interval then goes as far as others at these ends could move the mean, as
            many of them as Wilson's interval allows beside so many that agree.
    """
    data = np.asarray(values, dtype=np.float64)
    if within is not None and data.size and np.ptp(data) < SAME:
        mean, agree = float(data.mean()), wilson(data.size, data.size).low
        low, high = (agree * mean + (1 - agree) * end for end in within)
        return Estimate(mean, low, high, int(data.size))
    if data.size < 2:
        mean = float(data.sum())
        return Estimate(mean, mean, mean, int(data.size))
    rng = np.random.default_rng(seed)
    means = data[rng.integers(0, data.size, size=(ROUNDS, data.size))].mean(axis=1)
    outside = NormalDist().cdf(-student(SURE, data.size - 1) * math.sqrt(data.size / (data.size - 1)))
    low, high = np.quantile(means, [outside, 1 - outside])
    return Estimate(float(data.mean()), float(low), float(high), int(data.size))


def paired_difference(before: Sequence[float], after: Sequence[float], seed: int = 0, shares: bool = False) -> Estimate:
    """Mean of after - before over the same prompts and seeds, with its bootstrap interval; lengths must agree.

    ``shares``: whether the values are shares, 0..1.
    """
    if len(before) != len(after):
        raise ValueError(f"paired samples differ in length: {len(before)} and {len(after)}")
    within = (-1.0, 1.0) if shares else None
    return bootstrap_mean([b - a for a, b in zip(before, after, strict=True)], seed, within)


@functools.cache
def student(share: float, freedom: int) -> float:
    """The value that ``share`` (0.5..1) of Student's t distribution lies below; ``freedom`` = degrees of freedom, 1 or
    more.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < 2 * share - 1 else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _within(angle: float, freedom: int) -> float:
    """Share of the t distribution within ``sqrt(freedom) * tan(angle)`` of its middle (Abramowitz and Stegun 26.7.3,
    26.7.4).
    """
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom - 1, 2):
        term *= (k - 1) / k * math.cos(angle) ** 2
        total += term
    inner = math.sin(angle) * total
    return 2 / math.pi * (angle + inner) if odd else inner
