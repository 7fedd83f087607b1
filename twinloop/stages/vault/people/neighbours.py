"""The neighbour graph: which faces are alike enough to be looked at together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twinloop.domain.faces import FloatArray
from twinloop.ports import NeighbourSearch

IntArray = npt.NDArray[np.int32]
Tick = Callable[[int, int], None]
"""Told how far the work is: units done, units in all."""
BLOCK = 2048
"""Rows and columns of one product: 16 MiB of scores."""
MOST = 16
"""Neighbours that a face keeps at least, where it has so many; then memory grows with the faces, not with the pairs."""
_ROOM = 2_000_000


@dataclass(frozen=True, eq=False)
class Pairs:
    """Rows that are alike.

    Attributes:
        first, second: (m,) rows, first < second, each pair once. score: (m,) float32, their inner product.
        complete: whether these are all pairs over the limit; else every row has at least its `MOST` best.
    """

    first: IntArray
    second: IntArray
    score: FloatArray
    complete: bool

    def __len__(self) -> int:
        return len(self.first)


def silent(done: int, total: int) -> None:
    """Nobody is told."""


def exact_pairs(rows: FloatArray, limit: float, tick: Tick = silent, most: int = MOST) -> Pairs:
    """Every pair of rows (n, D) whose inner product is at least ``limit`` (over 0), by blocks of one half of the matrix
    of products.
    """
    kept = _Kept(len(rows), limit, most)
    starts = range(0, len(rows), BLOCK)
    total, done = len(starts) * (len(starts) + 1) // 2, 0
    for top in starts:
        block = rows[top : top + BLOCK]
        for left in range(top, len(rows), BLOCK):
            kept.take(block @ rows[left : left + BLOCK].T, top, left)
            done += 1
        tick(done, total)
    return kept.pairs()


def approximate_pairs(rows: FloatArray, limit: float, search: NeighbourSearch, most: int = MOST) -> Pairs:
    """The pairs over ``limit`` among each row's nearest, as an index finds them."""
    found, scores = search.nearest(rows, most + 1)
    near, column = np.nonzero((scores >= limit) & (found >= 0))
    other, score = found[near, column].astype(np.int64), scores[near, column]
    apart = near != other
    low, high = np.minimum(near, other)[apart], np.maximum(near, other)[apart]
    key, place = np.unique(low * len(rows) + high, return_index=True)
    return Pairs((key // len(rows)).astype(np.int32), (key % len(rows)).astype(np.int32), score[apart][place], False)


class _Kept:
    """Pairs found so far.

    When they become too many, each row keeps its best and from then on only looks at better ones.
    """

    def __init__(self, count: int, limit: float, most: int) -> None:
        self._count, self._most = count, most
        self._floor = np.full(count, limit, np.float32)
        self._parts: list[tuple[IntArray, IntArray, FloatArray]] = []
        self._size, self._room = 0, max(_ROOM, 3 * count * most)
        self._pruned = False

    def take(self, scores: FloatArray, top: int, left: int) -> None:
        """Note the pairs of one block, whose rows begin at ``top`` and columns at ``left``."""
        height, width = scores.shape
        enough = self._floor[top : top + height, None], self._floor[left : left + width]
        passed = scores >= (np.minimum(*enough) if self._pruned else self._floor[0])
        if top == left:
            passed &= np.tri(height, width, -1, bool).T
        places = np.flatnonzero(passed)
        if not len(places):
            return
        first, second = (places // width + top).astype(np.int32), (places % width + left).astype(np.int32)
        self._parts.append((first, second, scores.ravel()[places]))
        self._size += len(places)
        if self._size > self._room:
            self._prune()

    def _prune(self) -> None:
        first, second, score = self._joined()
        node = np.concatenate([first, second]).astype(np.uint64)
        # positive floats are ordered like their bits: one integer sorts by row, then best first
        bits = np.concatenate([score, score]).view(np.uint32).astype(np.uint64)
        order = np.argsort((node << np.uint64(32)) | (np.uint64(0xFFFFFFFF) - bits), kind="stable")
        of = node[order].astype(np.int64)
        start = np.searchsorted(of, np.arange(self._count))
        rank = np.arange(len(of)) - start[of]
        last = order[rank == self._most - 1]
        self._floor[node[last].astype(np.int64)] = np.concatenate([score, score])[last]
        best = np.zeros(2 * len(first), bool)
        best[order[rank < self._most]] = True
        keep = best[: len(first)] | best[len(first) :]
        self._parts = [(first[keep], second[keep], score[keep])]
        self._size, self._pruned = int(keep.sum()), True

    def _joined(self) -> tuple[IntArray, IntArray, FloatArray]:
        if not self._parts:
            return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32)
        first, second, score = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        return first, second, score

    def pairs(self) -> Pairs:
        if self._size > self._count * self._most:
            self._prune()
        first, second, score = self._joined()
        return Pairs(first, second, score, not self._pruned)
