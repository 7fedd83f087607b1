"""Each check: what it approves, what it rejects, where it is unsure, and that it says so with value and limit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.unit.checks.asking import ask, outcome
from tests.unit.things import ALL_MEASURED, face, hand, observation
from twinloop.checks import BUILTIN, Check, CheckContext, run_checks
from twinloop.checks.base import CheckLimits
from twinloop.checks.brightness import Brightness
from twinloop.checks.face import FaceConfidence, FaceQuality, OneFace
from twinloop.checks.identity import Identity
from twinloop.checks.novelty import Novelty
from twinloop.checks.sharpness import Sharpness
from twinloop.checks.target import OnTarget
from twinloop.domain.faces import Box
from twinloop.domain.observation import Observation
from twinloop.domain.verdicts import Outcome
from twinloop.facets import BUILTIN as FACETS

A, R, U = Outcome.APPROVED, Outcome.REJECTED, Outcome.UNSURE


@dataclass
class FakeIdentity:
    """A reference that says what it is told; its limit is 0.4 at the usual tolerance."""

    value: float | None = 0.6
    near: float | None = 0.5
    highest_pair: float = 0.8

    def similarity(self, seen: Observation) -> float | None:
        return self.value

    def nearest(self, seen: Observation) -> float | None:
        return self.near

    def lower_limit(self, seen: Observation, tolerance: float) -> float:
        return 0.9 - 0.2 * tolerance


@pytest.mark.parametrize(
    ("yaw", "value", "expected"),
    [
        (60, "profile", A),
        (-60, "profile", A),
        (48, "profile", U),
        (44.9, "profile", R),
        (0, "profile", R),
        (24, "front", U),
        (26, "front", R),
    ],
)
def test_target_with_the_rulers_error_at_the_border(yaw: float, value: str, expected: Outcome) -> None:
    assert outcome(OnTarget(), observation(faces=[face(yaw)]), "face_angle", value) is expected


def test_target_of_a_facet_that_holds_several_values() -> None:
    seen = observation(parts=[hand()], measures={"eyes_open": 0.1})
    assert outcome(OnTarget(), seen, "composition", "hands_visible") is A
    hidden = ask(OnTarget(), seen, "composition", "eyes_visible")
    assert hidden is not None and hidden.outcome is R and hidden.reason == "asked for eyes_visible, got hands_visible"
    neither = ask(OnTarget(), observation(measures={"eyes_open": 0.1}), "composition", "eyes_visible")
    assert neither is not None and neither.reason == "asked for eyes_visible, got none"


def test_a_target_that_cannot_be_measured_is_never_approved() -> None:
    blind = observation(measured=ALL_MEASURED - {"hands"})
    assert outcome(OnTarget(), blind, "composition", "hands_visible") is U
    assert outcome(OnTarget(), observation(faces=[]), "face_angle", "front") is U
    assert outcome(OnTarget(), observation(), "weather", "rain") is U
    assert outcome(OnTarget(), observation(), "face_angle", "upside_down") is U
    untold = ask(OnTarget(), observation(), "", "")
    assert untold is not None and untold.outcome is U and untold.reason.startswith("no target, because")


def test_exactly_one_face() -> None:
    small = face(box=Box(0, 0, 5, 14))
    crowd, nobody = observation(faces=[face(), face(box=Box(0, 0, 30, 40))]), observation(faces=[])
    assert outcome(OneFace(), observation()) is A
    for seen, reason in ((crowd, "2 faces"), (nobody, "no face found")):
        answer = ask(OneFace(), seen)
        assert answer is not None and answer.outcome is R and answer.reason == reason
    assert outcome(OneFace(), observation(faces=[face(), small])) is A
    assert outcome(OneFace(), observation(faces=[], measured=())) is U


def test_face_confidence_allows_for_profiles() -> None:
    check = FaceConfidence()
    assert outcome(check, observation(faces=[face(confidence=0.51)])) is A
    assert outcome(check, observation(faces=[face(confidence=0.50)])) is R
    assert outcome(check, observation(faces=[face(70, confidence=0.36)])) is A
    assert outcome(check, observation(faces=[face(70, confidence=0.35)])) is R
    assert outcome(check, observation(faces=[face(40, confidence=0.45)])) is R
    assert outcome(check, observation(faces=[])) is None


def test_face_quality_only_where_it_is_measured() -> None:
    assert outcome(FaceQuality(), observation()) is None
    assert outcome(FaceQuality(), observation(measures={"face_quality": 0.4})) is A
    assert outcome(FaceQuality(), observation(measures={"face_quality": 0.39})) is R


def test_a_quality_without_a_limit_of_its_own_is_held_against_real_faces_of_that_angle() -> None:
    limits = CheckLimits(min_face_quality=None, real_face_quality={"front": (0.6, 0.8), "profile": (0.2, 0.4)})
    for yaw, quality, expected in ((0, 0.6, A), (0, 0.59, R), (75, 0.2, A), (-75, 0.19, R), (35, 0.0, None)):
        seen = observation(faces=[face(yaw)], measures={"face_quality": quality})
        assert outcome(FaceQuality(), seen, limits=limits) is expected, (yaw, quality)
    assert (
        outcome(FaceQuality(), observation(faces=[face(None)], measures={"face_quality": 0.1}), limits=limits) is None
    )
    turned = observation(faces=[face(75)], measures={"face_quality": 0.2})
    answer = ask(FaceQuality(), turned, limits=limits)
    assert answer is not None and answer.score == 0.5 and answer.limit == ">= 0.2"
    named = CheckLimits(min_face_quality=0.3, real_face_quality=limits.real_face_quality)
    assert outcome(FaceQuality(), turned, limits=named) is R, "a limit that is named counts for every angle"


@pytest.mark.parametrize(("value", "expected"), [(30, A), (29.9, R), (225, A), (225.1, R), (120, A)])
def test_brightness_limits_of_the_seed(value: float, expected: Outcome) -> None:
    assert outcome(Brightness(), observation(measures={"brightness": value})) is expected


def test_brightness_makes_room_on_the_side_that_was_asked_for() -> None:
    dark, bright = observation(measures={"brightness": 15.0}), observation(measures={"brightness": 240.0})
    assert outcome(Brightness(), dark, "lighting", "low_key") is A
    assert outcome(Brightness(), bright, "lighting", "low_key") is R
    assert outcome(Brightness(), bright, "lighting", "high_key") is A
    assert outcome(Brightness(), dark, "lighting", "high_key") is R


def test_sharpness_of_the_whole_image() -> None:
    limits = CheckLimits(sharpness="image", real_sharpness=200.0)
    assert outcome(Sharpness(), observation(measures={"sharpness": 100.1}), limits=limits) is A
    assert outcome(Sharpness(), observation(measures={"sharpness": 100.0}), limits=limits) is R


def test_sharpness_of_the_face_against_the_real_photos() -> None:
    limits = CheckLimits(sharpness="face", real_sharpness=200.0)
    plain_backdrop = observation(measures={"sharpness": 20.0, "face_sharpness": 60.0})
    assert outcome(Sharpness(), plain_backdrop, limits=limits) is A
    assert outcome(Sharpness(), observation(measures={"sharpness": 500.0, "face_sharpness": 59.0}), limits=limits) is R


def test_the_share_of_sharpness_is_a_setting() -> None:
    soft = observation(measures={"sharpness": 500.0, "face_sharpness": 20.0})
    limits = CheckLimits(sharpness="face", real_sharpness=200.0)
    assert outcome(Sharpness(), soft, limits=replace(limits, sharpness_share=0.1)) is A
    assert outcome(Sharpness(), soft, limits=replace(limits, sharpness_share=0.11)) is R


def test_sharpness_falls_back_to_the_image_where_the_photos_taught_nothing() -> None:
    soft = observation(measures={"sharpness": 20.0})
    answer = ask(Sharpness(), soft, limits=CheckLimits(sharpness="face", real_sharpness=None))
    assert answer is not None and answer.outcome is R and "image" in answer.limit


def test_identity_against_the_learned_limit() -> None:
    assert outcome(Identity(), observation(), reference=FakeIdentity(0.40)) is A
    assert outcome(Identity(), observation(), reference=FakeIdentity(0.39)) is R
    assert outcome(Identity(), observation(), reference=FakeIdentity(None)) is U
    assert outcome(Identity(), observation(), reference=None) is None


@pytest.mark.parametrize(("tolerance", "expected"), [(3.0, A), (2.0, R)])
def test_identity_with_the_users_tolerance(tolerance: float, expected: Outcome) -> None:
    limits = CheckLimits(identity_tolerance=tolerance)
    assert outcome(Identity(), observation(), reference=FakeIdentity(0.4), limits=limits) is expected


def test_novelty_counts_the_bits_to_the_nearest_picture() -> None:
    others = (("far.png", "f" * 16), ("near.png", "000000000000003f"))
    copy = ask(Novelty(), observation(phash="0" * 16), others=others)
    assert copy is not None and copy.outcome is R and copy.value == 6 and "near.png" in copy.reason
    assert outcome(Novelty(), observation(phash="0" * 16), others=(("a", "000000000000007f"),)) is A
    assert outcome(Novelty(), observation(), others=()) is None


def test_a_face_closer_than_any_two_photos_must_differ_more() -> None:
    others = (("near.png", "00000000000000ff"),)
    assert outcome(Novelty(), observation(), others=others, reference=FakeIdentity(near=0.7)) is A
    assert outcome(Novelty(), observation(), others=others, reference=FakeIdentity(near=0.9)) is R
    assert outcome(Novelty(), observation(), others=others, reference=FakeIdentity(near=None)) is A


FACE_RULER = {"limits": CheckLimits(sharpness="face", real_sharpness=200.0)}


@pytest.mark.parametrize(
    ("check", "seen", "context", "score"),
    [
        (Brightness(), observation(measures={"brightness": 120.0}), {}, 1.0),
        (Brightness(), observation(measures={"brightness": 10.0}), {}, 0.0),
        (Sharpness(), observation(measures={"sharpness": 150.0}), {}, 0.75),
        (Sharpness(), observation(measures={"sharpness": 900.0}), {}, 1.0),
        (Sharpness(), observation(), {"limits": CheckLimits(blur_threshold=0.0)}, None),
        (Sharpness(), observation(measures={"face_sharpness": 90.0}), FACE_RULER, 0.45),
        (Sharpness(), observation(measures={"face_sharpness": 900.0}), FACE_RULER, 1.0),
        (FaceConfidence(), observation(faces=[face(confidence=0.8)]), {}, 0.8),
        (FaceQuality(), observation(measures={"face_quality": 0.7}), {}, 0.7),
        (Identity(), observation(), {"reference": FakeIdentity(0.55)}, 0.55),
        (Identity(), observation(), {"reference": FakeIdentity(1.0000002)}, 1.0),
        (Identity(), observation(), {"reference": FakeIdentity(-0.2)}, 0.0),
        (OnTarget(), observation(faces=[face(0)]), {}, 1.0),
        (OnTarget(), observation(faces=[face(24)]), {}, 0.5),
        (OnTarget(), observation(faces=[face(60)]), {}, 0.0),
        (OneFace(), observation(), {}, None),
        (Novelty(), observation(), {"others": (("a", "f" * 16),)}, None),
    ],
)
def test_the_score_that_average_quality_is_made_of(
    check: Check, seen: Observation, context: dict[str, Any], score: float | None
) -> None:
    answer = ask(check, seen, **context)
    assert answer is not None and answer.score == (None if score is None else pytest.approx(score))


def test_the_list_runs_in_order_and_leaves_out_what_does_not_apply() -> None:
    context = CheckContext(
        observation(),
        "face_angle",
        "front",
        {f.name: f for f in FACETS},
        CheckLimits(),
        FakeIdentity(),
        (("a", "f" * 16),),
    )
    assert [r.name for r in run_checks(context)] == [
        "on_target",
        "one_face",
        "face_confidence",
        "sharpness",
        "brightness",
        "identity",
        "novelty",
    ]
    assert len(BUILTIN) == 9
    assert all(r.limit for r in run_checks(context))
