"""Hands as they are in any pose pass; what no hand looks like is named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.hand_points import open_hand, shaped_hand
from tests.unit.things import hand
from twinloop.domain.faces import FloatArray
from twinloop.domain.hands import hand_doubt, malformed, palm_size


def turned(points: FloatArray, degrees: float, squeeze: float) -> FloatArray:
    """In the plane, and seen from the side: lengths along one axis shrink."""
    angle = np.radians(degrees)
    spin = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray((points @ spin.T) * (squeeze, 1.0), np.float32)


@given(scale=st.floats(0.2, 8), degrees=st.floats(0, 360), squeeze=st.floats(0.6, 1.0))
def test_size_place_and_turn_of_a_hand_do_not_matter(scale: float, degrees: float, squeeze: float) -> None:
    assert malformed(turned(open_hand(scale), degrees, squeeze)) == ""


@given(bend=st.lists(st.floats(0.05, 1.0), min_size=15, max_size=15))
def test_bones_that_point_away_are_short_and_no_fault(bend: list[float]) -> None:
    points = open_hand()
    for finger in range(5):
        at = 1 + 4 * finger
        bones = np.diff(points[at : at + 4], axis=0) * np.array(bend[3 * finger : 3 * finger + 3])[:, None]
        points[at + 1 : at + 4] = points[at] + np.cumsum(bones, axis=0)
    assert malformed(points) == ""


def stretched(points: FloatArray, finger: int, factor: float) -> FloatArray:
    at = 1 + 4 * finger
    points[at + 1 : at + 4] = points[at] + (points[at + 1 : at + 4] - points[at]) * factor
    return points


@pytest.mark.parametrize("finger", range(1, 5))
def test_a_finger_that_is_too_long(finger: int) -> None:
    assert malformed(stretched(open_hand(), finger, 1.1)) == ""
    assert malformed(stretched(open_hand(), finger, 2.5)) == "a finger is too long for the palm"


def test_other_faults_are_named() -> None:
    melted = open_hand()
    melted[[8, 12, 16]] = melted[12]
    assert malformed(melted) == "the fingertips lie on one another"
    wide = open_hand()
    wide[9:21] += (60, 0)
    assert malformed(wide) == "the knuckles are too far apart"
    thumb = open_hand()
    thumb[1:5] -= (90, 0)
    assert malformed(thumb) == "the thumb does not begin at the wrist"
    assert malformed(np.zeros((21, 2), np.float32)) == "its landmarks make no hand"
    assert malformed(np.full((21, 2), np.nan, np.float32)) == "its landmarks make no hand"


def test_two_fingertips_may_touch() -> None:
    """Crossed fingers, or a hand from the side."""
    ring = open_hand()
    ring[[8, 16]] = ring[[12, 20]]
    assert malformed(ring) == ""


def test_random_points_are_no_hand() -> None:
    rng = np.random.default_rng(0)
    assert sum(not malformed(rng.uniform(0, 100, (21, 2)).astype(np.float32)) for _ in range(200)) <= 10


def test_the_palm_is_measured_the_longer_way() -> None:
    """Wrist to the middle knuckle; seen along the palm, the width of the knuckles tells."""
    assert palm_size(open_hand()) == pytest.approx(95.1, abs=0.1)
    foreshortened = open_hand()
    foreshortened[:, 1] = 200
    assert palm_size(foreshortened) == pytest.approx(1.5 * 55)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"confidence": 0.79}, "hardly a hand (presence 0.79)"),
        ({"presence": 0.49}, "hardly a hand (presence 0.49)"),
        ({"spread": 0.13}, "fingers cannot be told apart"),
        ({"handedness": 0.5}, "neither a left nor a right hand"),
    ],
)
def test_what_the_net_itself_says(numbers: dict[str, float], words: str) -> None:
    assert words in hand_doubt(shaped_hand(None, **numbers))


def test_a_good_hand_and_one_of_which_no_shape_is_known() -> None:
    assert hand_doubt(shaped_hand()) == "" and hand_doubt(shaped_hand(confidence=0.81, handedness=0.02)) == ""
    assert hand_doubt(hand(0.5)) == ""
    assert hand_doubt(shaped_hand(stretched(open_hand(), 2, 3.0))) == "a finger is too long for the palm"


def test_one_long_bone_is_enough() -> None:
    """The finger as a whole is no longer than fingers are."""
    points = open_hand()
    points[17:21] = points[17] + np.array([[0, 0], [0, -90], [0, -95], [0, -100]], np.float32)
    assert malformed(points) == "a finger is too long for the palm"
