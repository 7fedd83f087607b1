"""The learning rate of a step: warm-up, fall, restarts."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from twinloop.adapters.trainers.optim.lr_schedule import learning_rate


def test_learning_rate_warms_up_and_falls() -> None:
    rates = [learning_rate(step, 100, 1.0, 10, "cosine") for step in range(1, 101)]
    assert rates[:10] == pytest.approx([k / 10 for k in range(1, 11)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.001
    assert learning_rate(3, 3, 1.0, 10, "cosine") == 1.0  # a warm-up longer than the training


MIDDLE, END = 45 / 91, 90 / 91
"""Steps 55 and 100 of 100, 10 of them warm-up: how far they are on the way to zero."""


@pytest.mark.parametrize(
    ("kind", "middle", "end"),
    [
        ("constant", 1.0, 1.0),
        ("linear", 1 - MIDDLE, 1 - END),
        ("cosine", (1 + math.cos(math.pi * MIDDLE)) / 2, (1 + math.cos(math.pi * END)) / 2),
        (
            "cosine_restarts",
            (1 + math.cos(math.pi * (3 * MIDDLE - 1))) / 2,
            (1 + math.cos(math.pi * (3 * END - 2))) / 2,
        ),
    ],
)
def test_each_schedule_at_its_peak_its_middle_and_its_end(kind: str, middle: float, end: float) -> None:
    rates = [learning_rate(step, 100, 2.0, 10, kind, 3) for step in (10, 55, 100)]
    assert rates == pytest.approx([2.0, 2.0 * middle, 2.0 * end])


def test_three_falls_have_two_restarts() -> None:
    rates = [learning_rate(step, 100, 1.0, 10, "cosine_restarts", 3) for step in range(11, 101)]
    assert sum(after > before for before, after in pairwise(rates)) == 2
