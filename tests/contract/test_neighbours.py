"""The approximate index behind `NeighbourSearch`: nearly all neighbours, the same ones each time.

Skipped, loudly, without the extra ``large``.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.stages.vault.people.makers import faces_like, strangers
from twinloop import wiring
from twinloop.ports import NeighbourSearch
from twinloop.stages.vault.people.grouping import FaceSet, group


@pytest.fixture(scope="module")
def search() -> NeighbourSearch:
    pytest.importorskip("faiss", reason="the extra 'large' (faiss-cpu) is not installed")
    return wiring.build_neighbour_search()


ROWS = np.concatenate([*(faces_like(person, 20) for person in range(40)), strangers(700)])


def test_nearly_all_neighbours_with_their_products(search: NeighbourSearch) -> None:
    found, scores = search.nearest(ROWS, 10)
    assert found.shape == scores.shape == (len(ROWS), 10) and (found[:, 0] == np.arange(len(ROWS))).all()
    assert np.allclose(scores[:, 1], np.einsum("ij,ij->i", ROWS, ROWS[found[:, 1]]), atol=1e-5)
    exact = np.argsort(-(ROWS[:800] @ ROWS.T), axis=1)[:, :10]
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, found[:800], strict=True)]) > 0.95


def test_the_same_each_time(search: NeighbourSearch) -> None:
    first, again = search.nearest(ROWS, 5), wiring.build_neighbour_search().nearest(ROWS.copy(), 5)
    assert (first[0] == again[0]).all() and (first[1] == again[1]).all()


def test_fewer_vectors_than_neighbours(search: NeighbourSearch) -> None:
    found, _ = search.nearest(ROWS[:3], 5)
    assert found.shape == (3, 5) and (found >= 0).sum() <= 9 and found.max() == 2


def test_people_are_told_apart_as_the_exact_way_does(search: NeighbourSearch) -> None:
    faces = FaceSet(ROWS, np.ones(len(ROWS), np.float32), np.arange(len(ROWS), dtype=np.int32))
    spread = (0.0, float(ROWS.shape[1]) ** -0.5)
    assert (group(faces, spread, 3).labels == group(faces, spread, 3, search=search).labels).all()
