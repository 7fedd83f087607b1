"""An observation tells "none found" from "nobody looked"."""

from __future__ import annotations

from tests.unit.things import face, observation, unit_vector
from twinloop.domain.observation import Reading


def test_the_first_face_is_the_subject() -> None:
    first, second = face(10), face(50)
    assert observation(faces=[first, second]).face is first
    assert observation(faces=[]).face is None


def test_pose_and_embedding_are_the_subjects() -> None:
    first, second = face(10, embedding=unit_vector(1.0)), face(50, embedding=unit_vector(0.0, 1.0))
    seen = observation(faces=[first, second])
    assert seen.pose is first.pose and seen.embedding is first.embedding
    unmeasured = observation(faces=[face(None), second])
    assert unmeasured.pose is None and unmeasured.embedding is None, (
        "the second face does not stand in for the subject's"
    )
    assert observation(faces=[]).pose is None and observation(faces=[]).embedding is None


def test_a_missing_measure_is_none_and_not_zero() -> None:
    seen = observation(measures={"eyes_open": 0.0})
    assert seen.measure("eyes_open") == 0.0
    assert seen.measure("smile") is None


def test_a_reading_is_measured_when_anything_is_known() -> None:
    assert not Reading.unknown().measured
    assert Reading(absent=("a",)).measured
    assert Reading(present=("a",)).measured
