"""Who is drawn at which step, and with which noise: pure functions of (seed, step), never of a generator's history."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from twinloop.domain.shots import derive_seed

Bucket = tuple[int, int]
GOLDEN = (math.sqrt(5) - 1) / 2


def rng(*parts: object) -> np.random.Generator:
    """A fresh generator for these names and numbers."""
    return np.random.Generator(np.random.PCG64(derive_seed(*parts)))


class Stream:
    """An endless sequence of entries, each as often as its weight says.

    Every run of ``len(weights)`` items holds entry i either floor or ceil of its due number of times (systematic sampling with a random
    start), in random order; so a short training sees all photos evenly. Item k depends on (name, k) only.
    """

    def __init__(self, weights: Sequence[float], *name: object) -> None:
        shares = np.asarray(weights, np.float64)
        if (
            shares.ndim != 1
            or not len(shares)
            or not np.isfinite(shares).all()
            or (shares < 0).any()
            or shares.sum() <= 0
        ):
            raise ValueError("weights must be finite, not negative, and not all zero")
        self._edges = np.cumsum(shares / shares.sum())
        self._name = name
        self._order = lru_cache(maxsize=2)(self._epoch)

    def item(self, k: int) -> int:
        """Index of the k-th entry drawn, k from 0."""
        epoch, place = divmod(k, len(self._edges))
        return int(self._order(epoch)[place])

    def _epoch(self, epoch: int) -> NDArray[np.int64]:
        random = rng(*self._name, epoch)
        count = len(self._edges)
        points = (random.random() + np.arange(count)) / count
        drawn = np.minimum(np.searchsorted(self._edges, points, side="right"), count - 1)
        return np.asarray(random.permutation(drawn), np.int64)


@dataclass(frozen=True)
class Draw:
    """One step's batch, all of one bucket: sample numbers, which are mirrored, which see the empty prompt."""

    bucket: Bucket
    samples: tuple[int, ...]
    mirrored: tuple[bool, ...]
    wordless: tuple[bool, ...]


class SampleSchedule:
    """Which samples each step sees.

    Args:
        weights: relative frequency of each sample. buckets: size of each sample; a batch is of one size.
    """

    def __init__(
        self, weights: Sequence[float], buckets: Sequence[Bucket], *, batch: int, seed: int, flip: bool, dropout: float
    ) -> None:
        self._batch, self._seed, self._flip, self._dropout = batch, seed, flip, dropout
        self._sizes = sorted(set(buckets))
        self._members = {size: [i for i, own in enumerate(buckets) if own == size] for size in self._sizes}
        totals = np.array([sum(weights[i] for i in self._members[size]) for size in self._sizes])
        self._edges = np.cumsum(totals / totals.sum())
        self._offset = rng(seed, "bucket").random()
        self._streams = {
            size: Stream([weights[i] for i in members], seed, "sample", *size)
            for size, members in self._members.items()
            if sum(weights[i] for i in members) > 0
        }
        self._past: list[int] = []

    def draw(self, step: int) -> Draw:
        """The batch of a step, from 1."""
        while len(self._past) < step:
            self._past.append(self._bucket(len(self._past)))
        number = self._past[step - 1]
        before = sum(1 for other in self._past[: step - 1] if other == number) * self._batch
        size = self._sizes[number]
        places = range(before, before + self._batch)
        random = rng(self._seed, "look", step)
        mirrored, wordless = random.random(self._batch), random.random(self._batch)
        return Draw(
            size,
            tuple(self._members[size][self._streams[size].item(k)] for k in places),
            tuple(bool(self._flip and value < 0.5) for value in mirrored),
            tuple(bool(value < self._dropout) for value in wordless),
        )

    def _bucket(self, k: int) -> int:
        """Which size comes at the k-th step: steps of the golden ratio, so that each comes at even distances."""
        place = (self._offset + k * GOLDEN) % 1.0
        return min(int(np.searchsorted(self._edges, place, side="right")), len(self._sizes) - 1)


SCHEDULES = ("cosine", "constant", "linear", "cosine_restarts")


def learning_rate(step: int, steps: int, peak: float, warmup: int, schedule: str, restarts: int = 1) -> float:
    """The rate of a step (1..steps): linear warm-up, then one of `SCHEDULES`.

    ``constant`` stays; ``cosine`` and ``linear`` fall to zero just after the last step; ``cosine_restarts`` falls so ``restarts`` times,
    each time from the peak (arXiv 1608.03983).
    """
    warmup = min(warmup, steps)
    if step <= warmup:
        return peak * step / warmup
    place = (step - warmup) / (steps - warmup + 1)
    if schedule == "constant":
        return peak
    if schedule == "linear":
        return peak * (1 - place)
    if schedule == "cosine_restarts":
        place = place * restarts % 1.0
    return peak * 0.5 * (1 + math.cos(math.pi * place))
