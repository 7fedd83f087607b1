"""The search finds every pair within the distance, once, whatever the hashes are."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinloop.stages.vault.copies import hash_search
from twinloop.stages.vault.copies.hash_search import Hashes, pairs_within

HASH = st.integers(0, 2**64 - 1)


def found(hashes: Hashes, limit: int) -> list[tuple[int, int]]:
    return [
        (int(a), int(b)) for first, second in pairs_within(hashes, limit) for a, b in zip(first, second, strict=True)
    ]


def one_by_one(hashes: Hashes, limit: int) -> set[tuple[int, int]]:
    return {
        (a, b)
        for a, b in itertools.combinations(range(len(hashes)), 2)
        if (int(hashes[a]) ^ int(hashes[b])).bit_count() <= limit
    }


@settings(max_examples=40)
@given(
    st.lists(HASH, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.sets(st.integers(0, 63), max_size=14)), max_size=12),
    st.integers(0, 20),
)
def test_every_pair_once_as_if_each_were_compared_with_each(
    random: list[int], near: list[tuple[int, set[int]]], limit: int
) -> None:
    """``near`` turns bits of earlier hashes over, so that there is something to find."""
    values = list(random)
    for place, bits in near:
        if values:
            values.append(values[place % len(values)] ^ sum(1 << bit for bit in bits))
    hashes = np.array(values, np.uint64)
    pairs = found(hashes, limit)
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == one_by_one(hashes, limit)


def test_no_memory_for_all_pairs_of_a_crowded_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a block of 50 pairs the answer is the same, and no block is much larger."""
    hashes = np.concatenate([np.arange(60, dtype=np.uint64), np.full(3, 2**40, np.uint64)])
    whole = set(found(hashes, 6))
    monkeypatch.setattr(hash_search, "BLOCK", 50)
    blocks = [len(first) for first, _ in pairs_within(hashes, 6)]
    assert set(found(hashes, 6)) == whole == one_by_one(hashes, 6)
    assert max(blocks) <= 120


def test_time_grows_far_slower_than_the_number_of_pairs() -> None:
    def spent(count: int) -> float:
        hashes = np.random.default_rng(3).integers(0, 2**63, count, dtype=np.uint64)
        began = time.process_time()
        for _ in pairs_within(hashes, 8):
            pass
        return time.process_time() - began

    spent(1000)
    assert spent(40_000) < 60 * max(spent(4_000), 0.005)  # each with each: 100 times


@pytest.mark.parametrize("limit", [-1, 65])
def test_a_distance_that_cannot_be(limit: int) -> None:
    with pytest.raises(ValueError, match="0 to 64"):
        list(pairs_within(np.zeros(2, np.uint64), limit))
