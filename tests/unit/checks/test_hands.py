"""Hands in made images: well formed ones pass, others are unsure, and the embedded world is not touched."""

from __future__ import annotations

import dataclasses

from tests.helpers.hand_points import shaped_hand
from tests.unit.checks.asking import ask, outcome
from tests.unit.things import hand, observation
from twinloop.checks import BUILTIN, EARLY
from twinloop.checks.hands import Hands
from twinloop.domain.faces import Part
from twinloop.domain.verdicts import Outcome, Verdict
from twinloop.stages.validate import reason_lines

WISH = ("composition", "hands_visible")
BOXED = dataclasses.replace(hand(), box_only=True)


def test_a_well_formed_hand_passes() -> None:
    answer = ask(Hands(), observation(parts=[shaped_hand()]), *WISH)
    assert answer is not None and answer.outcome is Outcome.APPROVED and answer.value == 0.98


def test_one_bad_hand_makes_the_image_unsure_whatever_was_asked() -> None:
    """A presence of 0.6 is enough for the facet, so that the image is on target; it is not enough to be approved."""
    seen = observation(parts=[shaped_hand(), shaped_hand(confidence=0.6)])
    for target in (WISH, ("face_angle", "front")):
        answer = ask(Hands(), seen, *target)
        assert answer is not None and answer.outcome is Outcome.UNSURE and "presence 0.60" in answer.reason
    results = tuple(result for check in BUILTIN if (result := ask(check, seen, *WISH)) is not None)
    verdict = Verdict("a.png", "0", *WISH, results)
    assert {r.name: r.outcome for r in results}["on_target"] is Outcome.APPROVED
    assert verdict.outcome is Outcome.UNSURE
    assert reason_lines([verdict]) == ["Why unsure: hands undecided 1"]


def test_boxes_tell_nothing_of_the_form() -> None:
    assert outcome(Hands(), observation(parts=[BOXED]), *WISH) is Outcome.UNSURE
    assert outcome(Hands(), observation(parts=[BOXED])) is None
    answer = ask(Hands(), observation(parts=[BOXED]), *WISH)
    assert answer is not None and "not measured" in answer.reason


def test_no_hand_no_check() -> None:
    assert outcome(Hands(), observation(), *WISH) is None
    assert outcome(Hands(), observation(parts=[shaped_hand(confidence=0.4)]), *WISH) is None
    assert outcome(Hands(), observation(parts=[Part("foot", hand().box, 0.9)]), *WISH) is None


def test_drawn_hands_are_judged_as_ever() -> None:
    """The embedded detectors give no landmarks: nothing is added to their verdicts, neither at the end nor early."""
    seen = observation(parts=[hand(0.5)])
    assert outcome(Hands(), seen, *WISH) is None
    assert not any(isinstance(check, Hands) for check in EARLY)


def test_of_several_hands_the_worst_and_the_first_doubt_are_told() -> None:
    good = ask(Hands(), observation(parts=[shaped_hand(), shaped_hand(confidence=0.9)]), *WISH)
    assert good is not None and good.value == 0.9
    bad = ask(Hands(), observation(parts=[shaped_hand(spread=0.5), shaped_hand(confidence=0.6)]), *WISH)
    assert bad is not None and bad.value == 0.6 and "cannot be told apart" in bad.reason
