"""Intervals: published figures, and what must hold for any numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.domain.statistics import Estimate, bootstrap_mean, paired_difference, wilson

numbers = st.lists(st.floats(-1, 1), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(12, 15, 0.548, 0.930), (9, 10, 0.596, 0.982), (5, 5, 0.566, 1.0), (0, 10, 0.0, 0.278), (81, 263, 0.255, 0.366)],
)
def test_wilson_against_known_intervals(successes: int, n: int, low: float, high: float) -> None:
    """The last row is the worked example of Newcombe 1998, table I."""
    estimate = wilson(successes, n)
    assert (estimate.value, estimate.n) == (successes / n, n)
    assert (estimate.low, estimate.high) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))


@given(n=st.integers(1, 500), data=st.data())
def test_wilson_holds_the_share_and_stays_in_0_to_1(n: int, data: st.DataObject) -> None:
    estimate = wilson(data.draw(st.integers(0, n)), n)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate.low < estimate.high


@given(n=st.integers(1, 500), data=st.data())
def test_wilson_treats_success_and_failure_alike(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    one, other = wilson(k, n), wilson(n - k, n)
    assert math.isclose(one.low, 1 - other.high, abs_tol=1e-9)


@given(n=st.integers(1, 200), data=st.data())
def test_wilson_narrows_with_more_images(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    few, many = wilson(k, n), wilson(4 * k, 4 * n)
    assert many.high - many.low < few.high - few.low


def test_wilson_of_nothing_knows_nothing() -> None:
    assert wilson(0, 0) == Estimate(0.0, 0.0, 1.0, 0)


@pytest.mark.parametrize(("successes", "n"), [(3, 2), (-1, 2)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError):
        wilson(successes, n)


@given(numbers)
def test_bootstrap_holds_the_mean_inside_the_range(values: list[float]) -> None:
    estimate = bootstrap_mean(values)
    assert estimate.n == len(values)
    assert math.isclose(estimate.value, math.fsum(values) / len(values), abs_tol=1e-9)
    assert min(values) - 1e-9 <= estimate.low <= estimate.high <= max(values) + 1e-9


@given(numbers, st.integers(0, 2**32))
def test_bootstrap_is_the_same_every_time(values: list[float], seed: int) -> None:
    assert bootstrap_mean(values, seed, 50) == bootstrap_mean(values, seed, 50)


def test_bootstrap_matches_the_normal_interval_of_many() -> None:
    """1000 evenly spread values: standard deviation 0.2887, so +- 1.96 x 0.00913."""
    estimate = bootstrap_mean([(n + 0.5) / 1000 for n in range(1000)])
    assert (estimate.low, estimate.high) == (pytest.approx(0.482, abs=0.002), pytest.approx(0.518, abs=0.002))


def test_bootstrap_of_equal_values_is_sure_and_of_none_is_empty() -> None:
    assert bootstrap_mean([0.5] * 7) == Estimate(0.5, 0.5, 0.5, 7)
    assert bootstrap_mean([]).n == 0


@given(numbers)
def test_a_paired_difference_of_a_shift_is_the_shift(values: list[float]) -> None:
    change = paired_difference(values, [value + 0.25 for value in values])
    assert (change.value, change.low, change.high) == (pytest.approx(0.25), pytest.approx(0.25), pytest.approx(0.25))


def test_pairs_must_match() -> None:
    with pytest.raises(ValueError, match="2 and 1"):
        paired_difference([0.1, 0.2], [0.1])


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1), st.integers(0, 1000))
def test_an_estimate_survives_json_to_four_digits(value: float, low: float, high: float, n: int) -> None:
    back = Estimate.from_json(Estimate(value, low, high, n).to_json())
    assert back.n == n
    assert back.value == pytest.approx(value, abs=5.1e-5)
    assert Estimate.from_json(back.to_json()) == back
