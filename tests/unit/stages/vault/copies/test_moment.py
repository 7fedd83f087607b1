"""What counts as one moment."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from tests.unit.stages.vault.copies.makers import face, picture
from tests.unit.things import unit_vector
from twinloop.domain.likeness import Likeness
from twinloop.stages.vault.copies.moment import NEIGHBOURS, moments, other_people, same_person, same_twice
from twinloop.stages.vault.copies.views import View

LIMIT = Likeness().same_person


def test_photos_within_the_seconds_find_each_other() -> None:
    found = moments(dict(enumerate([10.0, None, 0.0, 4.0, 15.1, 15.0])), 5.0)
    assert list(found) == [2, 3, 0, 5, 4]
    assert {place: sorted(others) for place, others in found.items()} == {0: [5], 2: [3], 3: [2], 4: [5], 5: [0, 4]}


def test_a_wrong_clock_does_not_make_everything_one_moment() -> None:
    count = 3 * NEIGHBOURS
    found = moments(dict.fromkeys(range(count), 0.0), 5.0)
    assert sum(len(others) for others in found.values()) <= 2 * NEIGHBOURS * count


@pytest.mark.parametrize("angle", [0.0, 1.0])
def test_people_are_told_apart_by_their_first_face(angle: float) -> None:
    alice, bob = face(unit_vector(1.0)), face(unit_vector(0.0, 1.0))
    again = face(unit_vector(1.0, angle))
    assert same_person([alice], [bob, again], LIMIT) and not other_people([alice, bob], [again], LIMIT)
    assert not same_person([alice], [bob], LIMIT) and other_people([alice], [bob], LIMIT)


def test_without_embeddings_nobody_is_the_same_or_another() -> None:
    unknown, alice = face(None), face(unit_vector(1.0))
    for one, other in (([unknown], [alice]), ([], [alice]), ([], [])):
        assert not same_person(one, other, LIMIT)
        assert not other_people(one, other, LIMIT)


def view(yaw: float | None) -> View:
    """One and the same picture, with a head that is said to be turned so; None = nobody knows how."""
    picture(1).save(buffer := io.BytesIO(), "JPEG")
    found = face(unit_vector(1.0), yaw=yaw or 0.0)
    found = found if yaw is not None else replace(found, face=replace(found.face, pose=None))
    return View(buffer.getvalue(), (found,), ((0.4, 0.4, 0.41, 0.41),))


@pytest.mark.parametrize(("yaw", "twice"), [(8.0, True), (8.1, False), (None, True)])
def test_a_head_that_turned_is_not_the_same_twice_and_an_unknown_pose_says_nothing(
    yaw: float | None, twice: bool
) -> None:
    assert same_twice(view(0.0), view(yaw)) is same_twice(view(yaw), view(0.0)) is twice
