"""Average linkage by rounds is average linkage."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.stages.vault.people.makers import faces_like, strangers, unit
from twinloop.domain.faces import FloatArray
from twinloop.stages.vault.people.linkage import Linkage
from twinloop.stages.vault.people.neighbours import exact_pairs


def linked(rows: FloatArray, limit: float, photos: list[int] | None = None) -> set[frozenset[int]]:
    linkage = Linkage(rows, photos if photos is not None else list(range(len(rows))))
    linkage.join(exact_pairs(rows, limit, most=1000), limit)
    return partition(linkage.labels)


def partition(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


def one_by_one(rows: FloatArray, limit: float) -> set[frozenset[int]]:
    """Always join the two nearest groups: the definition, with all pairs."""
    groups = [[row] for row in range(len(rows))]
    score = rows.astype(np.float64) @ rows.T.astype(np.float64)
    while len(groups) > 1:
        best = max(
            (np.mean(score[np.ix_(a, b)]), -i, -j) for i, a in enumerate(groups) for j, b in enumerate(groups) if i < j
        )
        if best[0] < limit:
            break
        i, j = -best[1], -best[2]
        groups[i] += groups.pop(j)
    return {frozenset(group) for group in groups}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 24), st.sampled_from([0.2, 0.35, 0.5]))
def test_as_joining_the_two_nearest_again_and_again(seed: int, count: int, limit: float) -> None:
    """Vectors with much in common, so that every order of joins matters; groups stay small enough for no shortcut to be
    taken.
    """
    rows = unit(np.random.default_rng(seed).standard_normal((count, 6)).astype(np.float32) + 0.3)
    mine = linked(rows, limit)
    if max(map(len, mine)) < 8:
        assert mine == one_by_one(rows, limit)


def test_a_large_person_takes_in_many_at_once_and_nobody_else() -> None:
    rows = np.concatenate([faces_like(1, 300), faces_like(2, 40), strangers(60)])
    found = linked(rows, 0.4)
    assert frozenset(range(300)) in found and frozenset(range(300, 340)) in found and len(found) == 62


def test_two_faces_of_one_photo_are_never_one_person() -> None:
    rows = faces_like(1, 10, 0.9)
    photos = [0, 0, *range(1, 9)]
    found = linked(rows, 0.4, photos)
    assert not any({0, 1} <= group for group in found) and sorted(map(len, found)) == [1, 9]


def test_twins_on_every_photo_stay_two() -> None:
    rows = np.concatenate([faces_like(1, 8, 0.9), faces_like(1, 8, 0.9, seed=5)])
    found = linked(rows, 0.4, [*range(8), *range(8)])
    assert all(len({row % 8 for row in group}) == len(group) for group in found)


def test_a_chain_of_resemblances_does_not_make_two_people_one() -> None:
    """a-b, b-c, c-d are each alike; a and d are not. DBSCAN would call all one person."""
    one, other = faces_like(1, 12, 0.85), faces_like(2, 12, 0.85)
    between = unit(
        one[:1] * np.linspace(0.8, 0.2, 4)[:, None].astype(np.float32)
        + other[:1] * np.linspace(0.2, 0.8, 4)[:, None].astype(np.float32)
    )
    found = linked(np.concatenate([one, other, between]), 0.45)
    assert not any({0, 12} <= group for group in found)
