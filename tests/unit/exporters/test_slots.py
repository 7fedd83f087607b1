"""Slots: where a view is best, and how well an expression stands in its place."""

from __future__ import annotations

import pytest

from tests.unit.exporters.makers import candidate
from twinloop.exporters.slots import ANGLES, angle_slots, expression_slots
from twinloop.facets import expression

IDEAL = {
    "front": 0,
    "left_30": -30,
    "right_30": 30,
    "three_quarter": 35,
    "three_quarter_left": -35,
    "three_quarter_right": 35,
    "profile": 90,
    "profile_left": -90,
    "profile_right": 90,
}


def test_every_view_has_an_ideal_here() -> None:
    assert IDEAL.keys() == ANGLES.keys()


@pytest.mark.parametrize(("name", "yaw"), IDEAL.items())
def test_a_view_fits_best_in_its_middle(name: str, yaw: float) -> None:
    (slot,) = angle_slots([name])
    assert slot.admits(candidate(yaw=yaw)) and slot.fit(candidate(yaw=yaw)) == 1.0
    beside = yaw + 9 if yaw <= 0 else yaw - 9
    assert slot.fit(candidate(yaw=beside)) == pytest.approx(0.8)


@pytest.mark.parametrize("name", ["left_30", "right_30"])
def test_thirty_degrees_are_twenty_to_forty_on_both_sides(name: str) -> None:
    assert (ANGLES[name].low, ANGLES[name].high) == (20.0, 40.0)


@pytest.mark.parametrize(("yaw", "frontal"), [(0.0, 1.0), (22.5, 0.5)])
def test_an_expression_fits_by_how_sure_it_is_and_how_frontal(yaw: float, frontal: float) -> None:
    (smile,) = expression_slots(["smile"], expression.FACET)
    assert smile.fit(candidate(yaw=yaw, shown="smile")) == pytest.approx((0.9 + frontal) / 2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("front", "the head turned by less than 20 degrees"),
        ("left_30", "the head turned by 20 to 40 degrees to the viewer's left"),
        ("three_quarter", "the head turned by 20 to 50 degrees to either side"),
        ("profile_right", "the head turned by 50 degrees or more to the viewer's right"),
    ],
)
def test_what_is_wanted_is_said_in_degrees(name: str, words: str) -> None:
    (slot,) = angle_slots([name])
    assert slot.wanted == words
