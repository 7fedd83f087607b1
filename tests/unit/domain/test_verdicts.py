"""Rejected beats unsure beats approved; what was not checked is not approved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.things import result
from twinloop.domain.verdicts import CheckResult, Outcome, Verdict

A, R, U = Outcome.APPROVED, Outcome.REJECTED, Outcome.UNSURE


def verdict(*results: CheckResult) -> Verdict:
    return Verdict("image.png", "ab", "face_angle", "profile", results)


@pytest.mark.parametrize(
    ("outcomes", "expected"), [((A, A), A), ((A, U), U), ((U, R), R), ((R, A), R), ((U, A, R), R), ((), U)]
)
def test_the_worst_check_decides(outcomes: tuple[Outcome, ...], expected: Outcome) -> None:
    assert verdict(*(result(outcome) for outcome in outcomes)).outcome is expected


@given(st.lists(st.none() | st.floats(0, 1), max_size=6))
def test_quality_is_the_mean_of_the_checks_that_score(scores: list[float | None]) -> None:
    counted = [s for s in scores if s is not None]
    expected = sum(counted) / len(counted) if counted else 0.0
    assert verdict(*(result(score=s) for s in scores)).quality == pytest.approx(expected)


def test_without_a_face_nothing_is_good_however_sharp_it_is() -> None:
    sharp, bright = result(A, "sharpness", 1.0), result(A, "brightness", 1.0)
    assert verdict(sharp, result(R, "one_face", None, "no face found"), bright).quality == 0.0
    unmeasured = verdict(sharp, result(U, "identity", None), bright)
    assert unmeasured.quality == 1.0, "what could not be measured says nothing of the rest"
    assert verdict(result(R, "sharpness", 0.2), bright).quality == 0.6


def test_reasons_name_only_what_stands_in_the_way() -> None:
    listed = verdict(result(A, "a", reason="fine"), result(R, "b", reason="too dark"), result(U, "c"))
    assert listed.reasons == ("too dark", "c")


def test_json_holds_every_check_with_value_and_limit() -> None:
    data = verdict(result(R, "brightness", 0.0, "too dark")).to_json()
    assert (data["type"], data["target"], data["outcome"]) == ("face_angle", "profile", "rejected")
    assert data["checks"] == [
        {
            "check": "brightness",
            "outcome": "rejected",
            "value": 1.0,
            "limit": ">= 1",
            "reason": "too dark",
            "score": 0.0,
        }
    ]


@pytest.mark.parametrize("human", [None, A, R])
@pytest.mark.parametrize("early", [None, 0.6])
def test_json_there_and_back(human: Outcome | None, early: float | None) -> None:
    checks = (result(R, "brightness", 0.25, "too dark"), result(A, "novelty", None))
    before = Verdict("image.png", "ab", "face_angle", "profile", checks, human, early)
    assert Verdict.from_json(before.to_json()) == before
    assert Verdict.from_json(before.to_json()).to_json() == before.to_json()
