"""An observation tells "none found" from "nobody looked"."""

from __future__ import annotations

from tests.unit.things import face, observation
from twinloop.domain.observation import Reading


def test_the_first_face_is_the_subject() -> None:
    first, second = face(10), face(50)
    assert observation(faces=[first, second]).face is first
    assert observation(faces=[]).face is None


def test_a_missing_measure_is_none_and_not_zero() -> None:
    seen = observation(measures={"eyes_open": 0.0})
    assert seen.measure("eyes_open") == 0.0
    assert seen.measure("smile") is None


def test_a_reading_is_measured_when_anything_is_known() -> None:
    assert not Reading.unknown().measured
    assert Reading(absent=("a",)).measured
    assert Reading(present=("a",)).measured
