"""Average linkage on a neighbour graph: groups of rows that are alike on average, never through a chain of single
resemblances.

The average inner product over all pairs of two groups is the inner product of their means, so no matrix of pairs is
needed. Groups that are each other's nearest are joined at once, round by round; for average linkage that gives what
joining the nearest pair of all does (reciprocal nearest neighbours: Murtagh 1983, doi 10.1093/comjnl/26.4.354).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from twinloop.domain.faces import FloatArray
from twinloop.stages.vault.people.neighbours import IntArray, Pairs

GROWTH = 0.125
"""A group takes in at most so much of its size at once; its mean hardly moves, and one large person does not take
thousands of rounds."""
_AT_ONCE = 65_536
"""Pairs whose inner products are computed together: their vectors take 256 MiB at 512 dimensions."""
_Names = npt.NDArray[np.int64]
"""Groups by name: each has the number of one of its rows."""
_NONE: frozenset[int] = frozenset()


class Linkage:
    """Groups of rows, at first one row each.

    Args:
        rows: (n, D) float32; a vector that is shorter than 1 is trusted less.
        photos: (n,) numbers; rows of one photo are never put into one group.
    """

    def __init__(self, rows: FloatArray, photos: Sequence[int] | IntArray) -> None:
        self._sums = rows.astype(np.float32, copy=True)
        self.sizes = np.ones(len(rows), np.int64)
        self.labels = np.arange(len(rows), dtype=np.int64)
        self._photos = _several(photos)

    def groups(self, least: int) -> _Names:
        """The names of the groups of ``least`` rows or more, ascending."""
        names = np.unique(self.labels)
        return names[self.sizes[names] >= least]

    def means(self, names: _Names) -> FloatArray:
        """(k, D) float32: the mean vector of each group."""
        return np.asarray(self._sums[names] / self.sizes[names, None], np.float32)

    def join(self, pairs: Pairs, limit: float) -> int:
        """Join groups while the nearest are ``limit`` or more alike on average; returns how many joins there were.

        Args:
            pairs: of group names; all that are that much alike, or the nearest of each.
        """
        edges = _Edges(pairs.first.astype(np.int64), pairs.second.astype(np.int64), pairs.score).over(limit)
        before = len(np.unique(self.labels))
        while len(edges.first):
            into, gone = edges.joins(self.sizes)
            fine = self._apart(into, gone)
            if not fine.all():
                edges = edges.without(into[~fine], gone[~fine], len(self.labels))
            if fine.any():
                self._merge(into[fine], gone[fine])
                edges = self._renewed(edges, into[fine], gone[fine]).over(limit)
        return before - len(np.unique(self.labels))

    def _apart(self, into: _Names, gone: _Names) -> npt.NDArray[np.bool_]:
        """Which of these joins put no two rows of one photo together, one done after the other."""
        fine = np.ones(len(into), bool)
        added: dict[int, set[int]] = {}
        for place, (a, b) in enumerate(zip(into.tolist(), gone.tolist(), strict=True)):
            mine = self._photos.get(b)
            if mine:
                there = added.setdefault(a, set(self._photos.get(a, _NONE)))
                fine[place] = there.isdisjoint(mine)
                there |= mine if fine[place] else _NONE
        return fine

    def _merge(self, into: _Names, gone: _Names) -> None:
        np.add.at(self._sums, into, self._sums[gone])
        np.add.at(self.sizes, into, self.sizes[gone])
        for a, b in zip(into.tolist(), gone.tolist(), strict=True):
            if b in self._photos:
                self._photos[a] = self._photos.pop(b) | self._photos.get(a, _NONE)
        target = np.arange(len(self.labels))
        target[gone] = into
        self.labels = target[self.labels]

    def _renewed(self, edges: _Edges, into: _Names, gone: _Names) -> _Edges:
        """The edges between the groups as they are now, with the averages of those that changed."""
        count = len(self.labels)
        target, changed = np.arange(count), np.zeros(count, bool)
        target[gone] = into
        changed[into] = True
        first, second = target[edges.first], target[edges.second]
        stale = changed[first] | changed[second]
        moved = stale & (first != second)
        key = np.unique(np.minimum(first, second)[moved] * count + np.maximum(first, second)[moved])
        low, high = key // count, key % count
        rest = edges.only(~stale)
        return _Edges(
            np.concatenate([rest.first, low]),
            np.concatenate([rest.second, high]),
            np.concatenate([rest.score, self._averages(low, high)]),
        )

    def _averages(self, first: _Names, second: _Names) -> FloatArray:
        parts = [np.zeros(0, np.float32)]
        for start in range(0, len(first), _AT_ONCE):
            a, b = first[start : start + _AT_ONCE], second[start : start + _AT_ONCE]
            products = np.einsum("ij,ij->i", self._sums[a], self._sums[b])
            parts.append((products / (self.sizes[a] * self.sizes[b])).astype(np.float32))
        return np.concatenate(parts)


def _several(photos: Sequence[int] | IntArray) -> dict[int, set[int] | frozenset[int]]:
    """Row -> its photo, for the rows that are not alone in theirs."""
    _, of, count = np.unique(np.asarray(photos), return_inverse=True, return_counts=True)
    return {int(row): frozenset({int(of[row])}) for row in np.flatnonzero(count[of] > 1)}


class _Edges:
    """Pairs of groups, first < second, with their average."""

    def __init__(self, first: _Names, second: _Names, score: FloatArray) -> None:
        self.first, self.second, self.score = first, second, score

    def without(self, first: _Names, second: _Names, count: int) -> _Edges:
        """All but these, named in either direction."""
        refused = np.minimum(first, second) * count + np.maximum(first, second)
        return self.only(~np.isin(self.first * count + self.second, refused))

    def only(self, which: npt.NDArray[np.bool_]) -> _Edges:
        return _Edges(self.first[which], self.second[which], self.score[which])

    def over(self, limit: float) -> _Edges:
        return self.only(self.score >= limit)

    def joins(self, sizes: _Names) -> tuple[_Names, _Names]:
        """(into, gone): what is joined next, no group twice.

        Groups that are each other's nearest, of equally near ones the first; and small ones into the large one that is
        their nearest."""
        nearest, score = self._nearest(len(sizes))
        gone = np.flatnonzero(nearest >= 0)
        mutual = nearest[nearest[gone]] == gone
        pair = gone[mutual & (nearest[gone] < gone)]
        small = gone[~mutual & (sizes[gone] <= GROWTH * sizes[nearest[gone]])]
        fits = _fitting(small, nearest, score, sizes)
        leaving = np.zeros(len(sizes), bool)
        leaving[pair] = leaving[fits] = True
        fits = fits[~leaving[nearest[fits]]]
        gone = np.concatenate([pair, fits])
        return nearest[gone], gone

    def _nearest(self, count: int) -> tuple[_Names, FloatArray]:
        """The nearest group of each, -1 for those without an edge, and how near it is."""
        node, other = np.concatenate([self.first, self.second]), np.concatenate([self.second, self.first])
        score = np.concatenate([self.score, self.score])
        best = np.full(count, -np.inf, np.float32)
        np.maximum.at(best, node, score)
        nearest = np.full(count, count, np.int64)
        tied = score == best[node]
        np.minimum.at(nearest, node[tied], other[tied])
        return np.where(nearest < count, nearest, -1), best


def _fitting(small: _Names, nearest: _Names, score: FloatArray, sizes: _Names) -> _Names:
    """The small groups that their nearest takes in, best first, until it has grown by `GROWTH`."""
    order = small[np.lexsort((small, -score[small], nearest[small]))]
    into = nearest[order]
    grown = np.cumsum(sizes[order])
    before = np.concatenate([[0], grown])[np.searchsorted(into, into)]
    return np.asarray(order[grown - before <= GROWTH * sizes[into]], np.int64)
