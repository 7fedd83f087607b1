"""All pairs of 64-bit hashes within a Hamming distance, without comparing each with each. NumPy only.

Multi-index hashing (Norouzi, Punjani, Fleet 2012): the hash is cut into four parts of 16 bits. Of two hashes that
differ in at most ``4 a + b`` bits, one of the first ``b + 1`` parts differs in at most ``a`` bits, or one of the others
in at most ``a - 1``. So hashes are looked up by part, each part with so many bits turned over, and only what meets
there is counted bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

PARTS, PART_BITS = 4, 16
BITS = PARTS * PART_BITS
BLOCK = 1 << 18
"""Pairs that are looked at in one piece: memory stays flat however many hashes meet in one place."""


def pairs_within(hashes: Hashes, limit: int) -> Iterator[tuple[Indices, Indices]]:
    """Every pair of places ``i < j`` whose hashes differ in at most ``limit`` bits, each pair once, in blocks of no
    fixed order.

    Args:
        hashes: (n,) uint64; equal ones should be collapsed before, n equal ones are n(n-1)/2 pairs. limit: 0..64.

    Raises:
        ValueError: a limit outside 0..64.
    """
    if not 0 <= limit <= BITS:
        raise ValueError(f"a distance of {limit} bits; 0 to {BITS} are possible")
    radii = _radii(limit)
    for part, radius in enumerate(radii):
        if radius < 0:
            continue
        table = _Table.of(hashes, part)
        for flip in _flips(radius):
            for first, second in _meetings(table, flip):
                yield from _close(hashes, first, second, limit, radii[:part])


def _radii(limit: int) -> tuple[int, ...]:
    """Within how many bits each part is searched; -1 = not at all."""
    whole, rest = divmod(limit, PARTS)
    return tuple(min(PART_BITS, whole if part <= rest else whole - 1) for part in range(PARTS))


def _part(hashes: Hashes, part: int) -> npt.NDArray[np.int64]:
    return ((hashes >> np.uint64(PART_BITS * part)) & np.uint64((1 << PART_BITS) - 1)).astype(np.int64)


def _flips(radius: int) -> Iterator[int]:
    for count in range(radius + 1):
        for bits in combinations(range(PART_BITS), count):
            yield sum(1 << bit for bit in bits)


@dataclass(frozen=True)
class _Table:
    """Hashes by the value of one part.

    Attributes:
        order: (n,) places, sorted by that value. starts: (2^16 + 1,) where each value begins in ``order``. values:
            those that occur.
    """

    order: Indices
    starts: Indices
    values: Indices

    @classmethod
    def of(cls, hashes: Hashes, part: int) -> _Table:
        keys = _part(hashes, part)
        starts = np.zeros((1 << PART_BITS) + 1, np.int64)
        np.cumsum(np.bincount(keys, minlength=1 << PART_BITS), out=starts[1:])
        return cls(np.argsort(keys, kind="stable"), starts, np.flatnonzero(np.diff(starts)))


def _meetings(table: _Table, flip: int) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of places whose hashes differ in exactly the bits ``flip`` of the part, each once, none with itself."""
    left = table.values
    right = left ^ flip
    if flip:  # (a, b) and (b, a) are one meeting
        left, right = left[left < right], right[left < right]
    a0, b0 = table.starts[left], table.starts[right]
    a, b = table.starts[left + 1] - a0, table.starts[right + 1] - b0
    met = b > 0 if flip else a > 1
    a0, b0, a, b = a0[met], b0[met], a[met], b[met]
    for first, last in _pieces(a * b):
        for one, other in _products(table.order, a0[first:last], b0[first:last], a[first:last], b[first:last]):
            once = slice(None) if flip else one < other
            yield one[once], other[once]


def _pieces(sizes: Indices) -> Iterator[tuple[int, int]]:
    """Runs of buckets with about a block of pairs together; a bucket of more is a run of its own."""
    ends = np.cumsum(sizes)
    first = 0
    while first < len(sizes):
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + BLOCK, "right")))
        yield first, last
        first = last


def _products(order: Indices, a0: Indices, b0: Indices, a: Indices, b: Indices) -> Iterator[tuple[Indices, Indices]]:
    """All pairs of the bucket pairs that begin at ``a0`` and ``b0`` in ``order`` and hold ``a`` and ``b`` places."""
    if len(a) == 1 and a[0] * b[0] > BLOCK:
        step = max(1, BLOCK // int(b[0]))
        for start in range(0, int(a[0]), step):
            rows = order[a0[0] + start : a0[0] + min(start + step, int(a[0]))]
            yield np.repeat(rows, b[0]), np.tile(order[b0[0] : b0[0] + b[0]], len(rows))
        return
    sizes = a * b
    bucket = np.repeat(np.arange(len(a)), sizes)
    within = np.arange(len(bucket)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    row, column = np.divmod(within, b[bucket])
    yield order[a0[bucket] + row], order[b0[bucket] + column]


def _close(
    hashes: Hashes, first: Indices, second: Indices, limit: int, earlier: tuple[int, ...]
) -> Iterator[tuple[Indices, Indices]]:
    """Of the pairs those within the limit that no earlier part has found; the smaller place first."""
    differing = hashes[first] ^ hashes[second]
    near = np.flatnonzero(np.bitwise_count(differing) <= limit)
    for part, radius in enumerate(earlier):
        near = near[np.bitwise_count(_part(differing[near], part)) > radius]
    if len(near):
        a, b = first[near], second[near]
        yield np.minimum(a, b), np.maximum(a, b)
