"""Face quality on a scale that is not calibrated: made faces are held against real ones of their own head angle."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.things import face, observation, reference_of, unit_vector
from twinloop.domain.faces import HeadPose
from twinloop.domain.observation import Observation
from twinloop.facets.face_angle import VALUES
from twinloop.stages.identity import reference_from_json, reference_to_json
from twinloop.stages.usual_quality import FEWEST, LEAST_SPREAD, TOLERANCE, UsualQuality, usual_quality

YAW = {"front": 0.0, "three_quarter": 35.0, "profile": 75.0}


def photo(name: object, yaw: float | None, quality: float | None) -> Observation:
    measures = {} if quality is None else {"face_quality": quality}
    return observation(name, faces=[face(yaw, embedding=unit_vector(1))], measures=measures)


def photos(angle: str, *qualities: float) -> list[Observation]:
    return [photo((angle, number), YAW[angle], quality) for number, quality in enumerate(qualities)]


FRONT = photos("front", 0.7, 0.75, 0.8, 0.85, 0.9)
TURNED = photos("three_quarter", 0.5, 0.55, 0.6, 0.65, 0.7)
PROFILE = photos("profile", *[0.3] * 5)


def test_the_limit_of_an_angle_lies_below_the_real_photos_of_that_angle() -> None:
    limits = usual_quality([*FRONT, *TURNED, *PROFILE]).limits
    assert {angle: usual for angle, (_, usual) in limits.items()} == pytest.approx(
        {"front": 0.8, "three_quarter": 0.6, "profile": 0.3}
    )
    assert limits["front"][0] == pytest.approx(0.8 - TOLERANCE * 0.0707107)
    assert limits["profile"][0] == pytest.approx(0.3 - TOLERANCE * LEAST_SPREAD), "photos of one hour are too alike"


def test_an_angle_that_the_photos_hardly_show_asks_for_no_more_than_one_that_is_turned_further() -> None:
    few = usual_quality([*FRONT, *TURNED[: FEWEST - 1], *PROFILE]).limits
    assert few["three_quarter"] == few["profile"]
    assert set(usual_quality([*FRONT, *TURNED]).limits) == {"front", "three_quarter"}, "nothing is known of profiles"
    assert usual_quality(FRONT[:-1]).limits == {}


def test_photos_without_a_quality_or_a_pose_teach_nothing() -> None:
    nothing = [photo(n, 0.0, None) for n in range(9)] + [photo(n, None, 0.9) for n in range(9)]
    assert usual_quality(nothing) == UsualQuality()


def test_a_face_counts_as_a_share_of_its_own_angle() -> None:
    """Else a LoRA that begins to turn heads would lose quality by obeying."""
    usual = usual_quality([*FRONT, *TURNED, *PROFILE])
    assert usual.complete
    front, profile = usual.share(0.72, HeadPose(0, 0, 0)), usual.share(0.27, HeadPose(-75, 0, 0))
    assert front == pytest.approx(0.9) and profile == pytest.approx(0.9)
    assert usual.share(0.27, None) == pytest.approx(0.9), "an angle that cannot be told gets the lowest"
    assert usual.share(1.0, HeadPose(75, 0, 0)) == 1.0
    assert not usual_quality([*FRONT, *TURNED, *PROFILE[:-1]]).complete


@given(st.lists(st.tuples(st.sampled_from(VALUES), st.floats(0, 1)), max_size=40))
def test_limits_are_never_above_what_is_usual(listed: list[tuple[str, float]]) -> None:
    learned = usual_quality([photo(n, YAW[angle], quality) for n, (angle, quality) in enumerate(listed)])
    assert all(0 <= least <= usual <= 1 for least, usual in learned.limits.values())
    if learned.complete:
        assert all(0 <= learned.share(q, HeadPose(YAW[angle], 0, 0)) <= 1 for angle in VALUES for q in (0.0, 0.5, 1.0))


def test_it_is_frozen_with_the_identity() -> None:
    reference = reference_of([*FRONT, *TURNED, *PROFILE], "r")
    assert reference is not None
    data = json.loads(json.dumps(reference_to_json(reference)))
    again = reference_from_json(data)
    assert again is not None
    for angle, known in reference.quality.limits.items():
        assert again.quality.limits[angle] == pytest.approx(known, abs=1e-4)


def test_an_angle_with_too_few_photos_may_look_two_further() -> None:
    few = usual_quality([*FRONT[:-1], *TURNED[:-1], *PROFILE]).limits
    assert few["front"] == few["three_quarter"] == few["profile"]
