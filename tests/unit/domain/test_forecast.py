"""What is said of a training before it starts."""

from __future__ import annotations

import pytest

from twinloop.domain.forecast import GIB, Forecast, MemoryPlan


def said(seconds: float | None, rough: str = "", own_sizes: bool = False) -> str:
    plan = MemoryPlan(1, False, GIB)
    line = Forecast(plan, None, GIB, seconds, {}, rough=rough, own_sizes=own_sizes).line
    return line.removeprefix("Training needs 1.0 GiB of memory, 1.00 GiB of disk")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "."),
        (0.02, ", a few seconds."),
        (9.9, ", a few seconds."),
        (48.0, ", about 48 s."),
        (1440.0, ", about 24 minutes."),
        (5400.0, ", about 1.5 hours."),
    ],
)
def test_a_time_is_never_none_at_all(seconds: float | None, told: str) -> None:
    assert said(seconds) == told


def test_a_time_that_is_not_sure_says_why() -> None:
    assert said(1440.0, "other programs are at work") == ", 24 minutes as a rough guess (other programs are at work)."
    assert said(1.0, "no step was timed") == ", a few seconds."
    assert said(48.0, own_sizes=True) == ", about 48 s with the photos at their own sizes."
