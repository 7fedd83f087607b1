"""Head-angle bins, and the distance to them that the target check allows for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.things import face, observation
from twinloop.facets.face_angle import FACET, FRONT_BELOW, PROFILE_FROM, VALUES, angle_of, degrees_to

yaws = st.floats(-180, 180)


@pytest.mark.parametrize(
    ("yaw", "expected"),
    [
        (0, "front"),
        (19.99, "front"),
        (20, "three_quarter"),
        (-20, "three_quarter"),
        (49.99, "three_quarter"),
        (50, "profile"),
        (-90, "profile"),
    ],
)
def test_the_borders_of_the_bins(yaw: float, expected: str) -> None:
    assert angle_of(yaw) == expected
    assert FACET.classify(observation(faces=[face(yaw)])).present == (expected,)


@given(yaws)
def test_both_sides_count_the_same(yaw: float) -> None:
    assert angle_of(yaw) == angle_of(-yaw)


@given(yaws)
def test_the_distance_is_zero_in_the_own_bin_and_positive_in_the_others(yaw: float) -> None:
    own = angle_of(yaw)
    assert degrees_to(own, yaw) == 0
    for value in VALUES:
        border = abs(yaw) in (FRONT_BELOW, PROFILE_FROM)
        assert value == own or border or degrees_to(value, yaw) > 0


@given(yaws, st.floats(-10, 10), st.sampled_from(VALUES))
def test_the_distance_never_jumps(yaw: float, step: float, value: str) -> None:
    if abs(yaw + step) <= 180:
        assert abs(degrees_to(value, yaw + step) - degrees_to(value, yaw)) <= abs(step) + 1e-9


def test_distances_in_degrees() -> None:
    assert degrees_to("profile", -46) == 4
    assert degrees_to("front", 26) == 6
    assert degrees_to("three_quarter", 62) == 12
    assert degrees_to("three_quarter", 15) == 5


def test_without_a_face_or_a_pose_nothing_is_said() -> None:
    assert not FACET.classify(observation(faces=[])).measured
    assert not FACET.classify(observation(faces=[face(None)])).measured


@pytest.mark.parametrize("value", ["three_quarter", "profile"])
def test_the_words_name_the_side_that_the_viewer_sees(value: str) -> None:
    """yaw > 0 = the nose points to image right."""
    for yaw, side in ((-60, "left"), (60, "right")):
        variant = FACET.variant(observation(faces=[face(yaw)]), value)
        assert side in FACET.phrases[value].prose[variant]
