"""How often the validation loss is measured where nobody says it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from tests.contract.makers import TRAINING
from twinloop.domain.validation_plan import LEAST, MOST, MOST_PHOTOS, ValidationPlan, usual_validations


@pytest.mark.parametrize(
    ("steps", "pictures", "times", "held_out", "found"),
    [
        (1500, 4, 4, 5, ValidationPlan(150, 5)),
        (1500, 4, 4, 45, ValidationPlan(150, 12)),
        (1500, 1, 4, 5, ValidationPlan(215, 5)),
        (1500, 1, 4, 150, ValidationPlan(500, 12)),
        (1440, 1, 4, 12, ValidationPlan(480, 12)),
        (1439, 1, 4, 12, ValidationPlan(0, 0)),
        (60, 4, 4, 5, ValidationPlan(0, 0)),
        (1500, 4, 4, 0, ValidationPlan(0, 0)),
    ],
)
def test_usual_validations(steps: int, pictures: int, times: int, held_out: int, found: ValidationPlan) -> None:
    assert usual_validations(steps, pictures, times, held_out) == found


def test_they_cost_a_twentieth_at_most() -> None:
    some = 0
    for steps, pictures, times, held_out in itertools.product((10, 333, 1500, 9999), (1, 4, 8), (1, 4, 20), (3, 9, 99)):
        plan = usual_validations(steps, pictures, times, held_out)
        assert plan.passes(steps, times) * 20 <= 2 * steps * pictures and plan.photos <= MOST_PHOTOS
        if plan.every:
            some += 1
            assert LEAST <= len({*range(plan.every, steps + 1, plan.every), steps}) <= MOST
    assert some > 50


def test_what_is_asked_for_is_done() -> None:
    assert TRAINING.validate_every == 0 and TRAINING.validations(40).passes(6, 4) == 0
    asked = replace(TRAINING, validate_every=4)
    assert asked.validations(40) == ValidationPlan(4, 40) and asked.validations(40).passes(6, 4) == 2 * 40 * 4
    assert asked.validations(0).every == 0
