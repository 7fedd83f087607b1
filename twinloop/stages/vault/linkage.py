"""Average linkage on a neighbour graph: groups of rows that are alike on average, never through a chain of single resemblances.

The average inner product over all pairs of two groups is the inner product of their means, so no matrix of pairs is needed. Groups that are
each other's nearest are joined at once, round by round; for average linkage that gives what joining the nearest pair of all does
(reciprocal nearest neighbours: Murtagh 1983, doi 10.1093/comjnl/26.4.354).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from twinloop.domain.faces import FloatArray
from twinloop.stages.vault.neighbours import IntArray, Pairs

_AT_ONCE = 65_536
"""Pairs whose inner products are computed together: their vectors take 256 MiB at 512 dimensions."""


class Linkage:
    """Groups of rows, at first one row each; a group is named by its first row.

    Args:
        rows: (n, D) float32; a vector that is shorter than 1 is trusted less.
        photos: (n,) numbers; rows of one photo are never put into one group.
    """

    def __init__(self, rows: FloatArray, photos: Sequence[int] | IntArray) -> None:
        self._sums = rows.astype(np.float32, copy=True)
        self.sizes = np.ones(len(rows), np.int64)
        self.labels = np.arange(len(rows), dtype=np.int64)
        self._photos = _several(photos)

    def groups(self, least: int) -> npt.NDArray[np.int64]:
        """The names of the groups of ``least`` rows or more, ascending."""
        names = np.unique(self.labels)
        return names[self.sizes[names] >= least]

    def means(self, names: npt.NDArray[np.int64]) -> FloatArray:
        """(k, D) float32: the mean vector of each group."""
        return np.asarray(self._sums[names] / self.sizes[names, None], np.float32)

    def photos_of(self, name: int) -> frozenset[int]:
        """The photos with several rows that the group has one of."""
        return frozenset(self._photos.get(name, ()))

    def join(self, pairs: Pairs, limit: float) -> int:
        """Join groups while the nearest are ``limit`` or more alike on average; returns how many joins there were.

        Args:
            pairs: of group names; all that are that much alike, or the nearest of each.
        """
        edges = _Edges(pairs.first.astype(np.int64), pairs.second.astype(np.int64), pairs.score).over(limit)
        before = len(np.unique(self.labels))
        while len(edges.first):
            kept, gone = self._allowed(*edges.mutual(len(self.labels)))
            refused = ~np.isin(edges.key(len(self.labels)), gone[0] * len(self.labels) + gone[1])
            edges = edges.only(refused)
            if len(kept[0]):
                self._merge(*kept)
                edges = self._renewed(edges, kept).over(limit)
        return before - len(np.unique(self.labels))

    def _allowed(self, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> tuple[_Names, _Names]:
        """Which of these joins put no two rows of one photo together, and which do."""
        fine = np.array([self._photos.get(int(a), _NONE).isdisjoint(self._photos.get(int(b), _NONE)) for a, b in zip(first, second, strict=True)], bool)
        return (first[fine], second[fine]), (first[~fine], second[~fine])

    def _merge(self, into: npt.NDArray[np.int64], gone: npt.NDArray[np.int64]) -> None:
        self._sums[into] += self._sums[gone]
        self.sizes[into] += self.sizes[gone]
        for a, b in zip(into.tolist(), gone.tolist(), strict=True):
            if b in self._photos:
                self._photos[a] = self._photos.pop(b) | self._photos.get(a, _NONE)
        target = np.arange(len(self.labels))
        target[gone] = into
        self.labels = target[self.labels]

    def _renewed(self, edges: _Edges, merged: _Names) -> _Edges:
        """The edges between the groups as they are now, with the averages of those that changed."""
        count = len(self.labels)
        target, changed = np.arange(count), np.zeros(count, bool)
        target[merged[1]] = merged[0]
        changed[merged[0]] = True
        first, second = target[edges.first], target[edges.second]
        stale = changed[first] | changed[second]
        moved = stale & (first != second)
        key = np.unique(np.minimum(first, second)[moved] * count + np.maximum(first, second)[moved])
        low, high = key // count, key % count
        rest = edges.only(~stale)
        return _Edges(np.concatenate([rest.first, low]), np.concatenate([rest.second, high]), np.concatenate([rest.score, self._averages(low, high)]))

    def _averages(self, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> FloatArray:
        parts = [np.zeros(0, np.float32)]
        for start in range(0, len(first), _AT_ONCE):
            a, b = first[start : start + _AT_ONCE], second[start : start + _AT_ONCE]
            products = np.einsum("ij,ij->i", self._sums[a], self._sums[b])
            parts.append((products / (self.sizes[a] * self.sizes[b])).astype(np.float32))
        return np.concatenate(parts)


_Names = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
_NONE: frozenset[int] = frozenset()


def _several(photos: Sequence[int] | IntArray) -> dict[int, set[int] | frozenset[int]]:
    """Row -> its photo, for the rows that are not alone in theirs."""
    _, of, count = np.unique(np.asarray(photos), return_inverse=True, return_counts=True)
    return {int(row): frozenset({int(of[row])}) for row in np.flatnonzero(count[of] > 1)}


class _Edges:
    """Pairs of groups, first < second, with their average."""

    def __init__(self, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], score: FloatArray) -> None:
        self.first, self.second, self.score = first, second, score

    def key(self, count: int) -> npt.NDArray[np.int64]:
        return self.first * count + self.second

    def only(self, which: npt.NDArray[np.bool_]) -> _Edges:
        return _Edges(self.first[which], self.second[which], self.score[which])

    def over(self, limit: float) -> _Edges:
        return self.only(self.score >= limit)

    def mutual(self, count: int) -> _Names:
        """The groups that are each other's nearest; of equally near ones the first."""
        node, other = np.concatenate([self.first, self.second]), np.concatenate([self.second, self.first])
        score = np.concatenate([self.score, self.score])
        best = np.full(count, -np.inf, np.float32)
        np.maximum.at(best, node, score)
        nearest = np.full(count, count, np.int64)
        tied = score == best[node]
        np.minimum.at(nearest, node[tied], other[tied])
        some = np.unique(self.first)
        pair = some[(nearest[some] > some) & (nearest[np.minimum(nearest[some], count - 1)] == some)]
        return pair, nearest[pair]
