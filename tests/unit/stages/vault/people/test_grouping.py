"""The whole method on made-up faces, where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.stages.vault.people.makers import STRANGERS, faces_like, strangers, unit
from twinloop.domain.faces import FloatArray
from twinloop.stages.vault.people import neighbours
from twinloop.stages.vault.people.grouping import STRANGER, FaceSet, group

LEAST = 3


def labels_of(
    rows: FloatArray, quality: FloatArray | float = 0.9, photos: list[int] | None = None, chosen: float | None = None
) -> np.ndarray:
    count = len(rows)
    faces = FaceSet(
        rows,
        np.broadcast_to(np.asarray(quality, np.float32), count),
        np.arange(count, dtype=np.int32) if photos is None else np.array(photos, np.int32),
    )
    return group(faces, STRANGERS, LEAST, chosen).labels


def together(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist()) - {STRANGER}}


ROWS = np.concatenate([faces_like(1, 12), faces_like(2, 9), faces_like(3, 3), faces_like(4, 2), strangers(30)])
TRUTH = {frozenset(range(12)), frozenset(range(12, 21)), frozenset(range(21, 24))}


def test_people_are_told_apart_and_whoever_is_seen_less_often_is_a_stranger() -> None:
    assert together(labels_of(ROWS)) == TRUTH


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(len(ROWS))))
def test_the_order_of_the_faces_does_not_matter(order: list[int]) -> None:
    found = together(labels_of(ROWS[order]))
    assert {frozenset(order[place] for place in people) for people in found} == TRUTH


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 300))
def test_more_strangers_change_nothing(seed: int, count: int) -> None:
    assert together(labels_of(np.concatenate([ROWS, strangers(count, seed + 100)]))) == TRUTH


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 15), min_size=24, max_size=24))
def test_no_person_is_twice_on_a_photo(photos: list[int]) -> None:
    rows = np.concatenate([faces_like(1, 12, 0.9), faces_like(2, 12, 0.9)])
    for people in together(labels_of(rows, photos=photos)):
        assert len({photos[face] for face in people}) == len(people)


def test_poor_faces_that_look_alike_are_not_a_person_but_good_ones_are() -> None:
    """To an embedder blurred faces of different people are alike."""
    blurred = faces_like(9, 8, 0.55)
    assert together(labels_of(blurred, 0.9)) == {frozenset(range(8))}
    assert together(labels_of(blurred, 0.05)) == set()


def test_poor_faces_do_not_bridge_two_people() -> None:
    one, other = faces_like(1, 10), faces_like(2, 10)
    halfway = unit(unit(one.mean(axis=0)) + unit(other.mean(axis=0)) + 0.3 * strangers(6))
    quality = np.array([0.9] * 20 + [0.1] * 6, np.float32)
    found = labels_of(np.concatenate([one, other, halfway]), quality)
    assert together(found[:20]) == {frozenset(range(10)), frozenset(range(10, 20))}
    assert (found[20:] == STRANGER).all(), "as near to the one as to the other: to nobody"


def test_a_face_that_is_less_alike_goes_to_its_person_alone() -> None:
    """As a profile among frontal faces: too little alike to join on average, clearly nearest to one."""
    centre, odd = faces_like(1, 15), strangers(1, 3)[0]
    profile = unit(0.5 * unit(centre.mean(axis=0)) + odd * np.float32(0.866))
    found = labels_of(np.concatenate([centre, faces_like(2, 15), profile[None]]), chosen=0.45)
    assert found[-1] == found[0] != STRANGER


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_faces_on_a_photo_the_likest_one_is_the_persons(order: tuple[int, int]) -> None:
    """Both would be near enough; one photo shows nobody twice."""
    centre = faces_like(1, 15)
    odd = strangers(2, 3)
    near, nearer = (
        unit(share * unit(centre.mean(axis=0)) + other * np.float32((1 - share**2) ** 0.5))
        for share, other in zip((0.5, 0.52), odd, strict=True)
    )
    rows = np.concatenate([centre, faces_like(2, 15), np.array([near, nearer])[list(order)]])
    found = labels_of(rows, photos=[*range(30), 30, 30], chosen=0.45)
    assert found[30 + order.index(1)] == found[0] != STRANGER and found[30 + order.index(0)] == STRANGER
    alone = labels_of(np.delete(rows, 30 + order.index(1), axis=0), chosen=0.45)
    assert alone[-1] == alone[0]


def test_the_parts_of_a_large_person_come_together_although_each_face_keeps_only_its_nearest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbours, "_ROOM", 100)
    centre = faces_like(5, 1, 0.99)[0]
    sessions = [
        unit(unit(centre + 0.8 * other) + 0.25 * strangers(40, seed)) for seed, other in enumerate(strangers(3, 50))
    ]
    rows = np.concatenate([*sessions, strangers(40, 99)])
    assert together(labels_of(rows)) == {frozenset(range(120))}


def test_nobody_and_one() -> None:
    assert len(labels_of(np.zeros((0, 0), np.float32))) == 0
    assert labels_of(faces_like(1, 1)).tolist() == [STRANGER]
