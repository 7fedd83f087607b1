"""The neighbour graph holds what a matrix of all products would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.stages.vault.people.makers import faces_like, strangers
from twinloop.domain.faces import FloatArray
from twinloop.stages.vault.people import neighbours
from twinloop.stages.vault.people.neighbours import Pairs, approximate_pairs, exact_pairs


def rows_of(count: int) -> FloatArray:
    return np.concatenate([faces_like(person, count // 4 + 1) for person in range(3)] + [strangers(count)])[:count]


def all_pairs(rows: FloatArray, limit: float) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for a, b in zip(*np.nonzero(np.triu(rows @ rows.T, 1) >= limit), strict=True)}


def as_set(pairs: Pairs) -> set[tuple[int, int]]:
    return set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 60), st.sampled_from([1, 7, 16, 64]), st.sampled_from([0.1, 0.4, 0.65]))
def test_every_pair_over_the_limit_once_whatever_the_blocks(count: int, block: int, limit: float) -> None:
    rows = rows_of(count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "BLOCK", block)
        pairs = exact_pairs(rows, limit, most=1000)
    assert as_set(pairs) == all_pairs(rows, limit) and len(as_set(pairs)) == len(pairs) and pairs.complete
    assert np.allclose(
        pairs.score, [rows[a] @ rows[b] for a, b in zip(pairs.first, pairs.second, strict=True)], atol=1e-5
    )


def test_when_there_are_too_many_each_row_keeps_its_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_ROOM", 50)
    monkeypatch.setattr(neighbours, "BLOCK", 32)
    rows = np.concatenate([faces_like(1, 150), faces_like(2, 3)])
    pairs = exact_pairs(rows, 0.3, most=4)
    assert not pairs.complete and len(pairs) <= 4 * len(rows)
    score = rows @ rows.T
    np.fill_diagonal(score, -1)
    found = as_set(pairs)
    for row in range(len(rows)):
        best = [int(other) for other in np.argsort(-score[row])[:4] if score[row, other] >= 0.3]
        assert all((min(row, other), max(row, other)) in found for other in best), row


def test_progress_reaches_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", 10)
    told: list[tuple[int, int]] = []
    exact_pairs(rows_of(35), 0.4, lambda done, total: told.append((done, total)))
    assert told[-1] == (10, 10) and told == sorted(told)


class Exhaustive:
    """An index that looks at everything."""

    def nearest(self, rows: FloatArray, count: int) -> tuple[np.ndarray, FloatArray]:
        score = rows @ rows.T
        best = np.argsort(-score, axis=1)[:, :count]
        missing = np.full((len(rows), max(0, count - best.shape[1])), -1)
        return np.hstack([best, missing]), np.hstack([np.take_along_axis(score, best, 1), missing]).astype(np.float32)


def test_an_index_gives_the_same_pairs() -> None:
    rows = rows_of(40)
    pairs = approximate_pairs(rows, 0.4, Exhaustive(), most=60)
    assert as_set(pairs) == all_pairs(rows, 0.4) and len(as_set(pairs)) == len(pairs) and not pairs.complete
    assert np.allclose(
        pairs.score, [rows[a] @ rows[b] for a, b in zip(pairs.first, pairs.second, strict=True)], atol=1e-5
    )
