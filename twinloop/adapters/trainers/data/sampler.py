"""Which samples are drawn at which step, mirrored or not, with which caption: pure functions of (seed, step), never of
a generator's history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from twinloop.domain.shots import derive_seed

Size = tuple[int, int]
"""Width and height in pixels."""


ORDERS = 8
"""In so many orders the parts of a caption come where they are shuffled, each with others of them left out where they
drop: each is embedded once, before the training."""


def rng(*parts: object) -> np.random.Generator:
    """A fresh generator for these names and numbers."""
    return np.random.Generator(np.random.PCG64(derive_seed(*parts)))


class Stream:
    """An endless sequence of entries, each as often as its weight says.

    Every run of ``len(weights)`` items holds entry i either floor or ceil of its due number of times (systematic
    sampling with a random start), in random order; so a short training sees all photos evenly. Item k depends on (name,
    k) only.
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
    """One step's pictures: sample numbers, which are mirrored, which see the empty prompt, and in which of `ORDERS`
    orders each one's caption comes.
    """

    samples: tuple[int, ...]
    mirrored: tuple[bool, ...]
    wordless: tuple[bool, ...]
    orders: tuple[int, ...]


class SampleSchedule:
    """Which samples each step sees, whatever their sizes: two photos of one shape are no reason to meet in a step.

    Args:
        weights: relative frequency of each sample. sizes: of the samples; the same ones at other sizes come in another
            order. batch: pictures of a step.
    """

    def __init__(
        self, weights: Sequence[float], sizes: Sequence[Size], *, batch: int, seed: int, flip: bool, dropout: float
    ) -> None:
        self._batch, self._seed, self._flip, self._dropout = batch, seed, flip, dropout
        self._stream = Stream(weights, seed, "sample", *(side for size in sorted(set(sizes)) for side in size))

    def draw(self, step: int) -> Draw:
        """The pictures of a step, from 1."""
        places = range((step - 1) * self._batch, step * self._batch)
        random = rng(self._seed, "look", step)
        mirrored, wordless = random.random(self._batch), random.random(self._batch)
        return Draw(
            tuple(self._stream.item(k) for k in places),
            tuple(bool(self._flip and value < 0.5) for value in mirrored),
            tuple(bool(value < self._dropout) for value in wordless),
            tuple(int(value) for value in random.integers(ORDERS, size=self._batch)),
        )
