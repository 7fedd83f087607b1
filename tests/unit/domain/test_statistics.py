"""Intervals: published figures, and what must hold for any numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.domain.statistics import Estimate, bootstrap_mean, paired_difference, student, wilson

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
    with pytest.raises(ValueError, match="need 0 <="):
        wilson(successes, n)


@given(numbers)
def test_bootstrap_holds_the_mean_inside_the_range(values: list[float]) -> None:
    estimate = bootstrap_mean(values)
    assert estimate.n == len(values)
    assert math.isclose(estimate.value, math.fsum(values) / len(values), abs_tol=1e-9)
    assert min(values) - 1e-9 <= estimate.low <= estimate.high <= max(values) + 1e-9


@pytest.mark.parametrize(("kind", "n"), [("even", 6), ("even", 12), ("counted", 6), ("counted", 12)])
def test_few_values_miss_about_as_seldom_as_the_interval_says(kind: str, n: int) -> None:
    """Values around zero: the interval should leave zero out in 5 of 100 cases.

    Plain percentiles do in 12 to 14, of six values.
    """
    rng = np.random.default_rng(3)
    draw = {"even": lambda: rng.normal(size=n), "counted": lambda: rng.choice([-1.0, 0.0, 1.0], n, p=[0.25, 0.5, 0.25])}
    found = [bootstrap_mean(draw[kind](), seed) for seed in range(1000)]
    assert 0.02 <= sum(one.low > 0 or one.high < 0 for one in found) / len(found) <= 0.09


@pytest.mark.parametrize(
    ("share", "freedom", "value"),
    [
        (0.975, 1, 12.7062),
        (0.975, 2, 4.3027),
        (0.975, 5, 2.5706),
        (0.975, 11, 2.2010),
        (0.95, 10, 1.8125),
        (0.995, 30, 2.7500),
        (0.975, 1000, 1.9623),
        (0.5, 7, 0.0),
    ],
)
def test_student_against_the_printed_table(share: float, freedom: int, value: float) -> None:
    """Percentage points of the t distribution, as printed in any table."""
    assert student(share, freedom) == pytest.approx(value, abs=5e-5)


def test_one_of_several_figures_has_a_wider_interval() -> None:
    alone = Estimate(0.08, 0.02, 0.16, 24)
    assert alone.among(1) == alone
    wider = alone.among(6)
    assert (wider.value, wider.n) == (0.08, 24)
    widened = student(1 - 0.025 / 6, 23) / student(0.975, 23)
    assert (wider.low, wider.high) == (pytest.approx(0.08 - 0.06 * widened), pytest.approx(0.08 + 0.08 * widened))
    assert wider.low < 0 < alone.low
    assert Estimate(0.5, 0.5, 0.5, 1).among(6) == Estimate(0.5, 0.5, 0.5, 1)


@given(numbers, st.integers(0, 2**32))
def test_bootstrap_is_the_same_every_time(values: list[float], seed: int) -> None:
    assert bootstrap_mean(values, seed) == bootstrap_mean(values, seed)


def test_bootstrap_matches_the_normal_interval_of_many() -> None:
    """1000 evenly spread values: standard deviation 0.2887, so +- 1.96 x 0.00913."""
    estimate = bootstrap_mean([(n + 0.5) / 1000 for n in range(1000)])
    assert (estimate.low, estimate.high) == (pytest.approx(0.482, abs=0.002), pytest.approx(0.518, abs=0.002))


def test_bootstrap_of_equal_values_is_sure_and_of_none_is_empty() -> None:
    assert bootstrap_mean([0.5] * 7) == Estimate(0.5, 0.5, 0.5, 7)
    assert bootstrap_mean([]).n == 0
    assert bootstrap_mean([0.5]) == Estimate(0.5, 0.5, 0.5, 1)


@given(numbers)
def test_a_paired_difference_of_a_shift_is_the_shift(values: list[float]) -> None:
    change = paired_difference(values, [value + 0.25 for value in values])
    assert (change.value, change.low, change.high) == (pytest.approx(0.25), pytest.approx(0.25), pytest.approx(0.25))


@pytest.mark.parametrize(("value", "n"), [(1.0, 24), (0.0, 24), (1.0, 1), (0.0, 96)])
def test_shares_that_all_agree_have_wilsons_interval(value: float, n: int) -> None:
    found, known = bootstrap_mean([value] * n, within=(0.0, 1.0)), wilson(round(value * n), n)
    assert (found.value, found.n) == (known.value, known.n)
    assert (found.low, found.high) == (pytest.approx(known.low), pytest.approx(known.high))


def test_changes_of_shares_that_all_agree_are_not_sure() -> None:
    """No change in 96 images: as many as Wilson's interval allows may still change, to either side."""
    reach = wilson(0, 96).high
    none = paired_difference([1.0] * 96, [1.0] * 96, shares=True)
    assert (none.value, none.low, none.high) == (0.0, pytest.approx(-reach), pytest.approx(reach))
    all_of_six = paired_difference([0.0] * 6, [1.0] * 6, shares=True)
    assert all_of_six.high == 1.0 and 0 < all_of_six.low < 0.5
    thirds = paired_difference([0.33333, 0.66667] * 12, [0.66667, 1.0] * 12, shares=True)
    assert thirds.low < 0.3 and thirds.high > 0.36, "as they are read back from a file"
    assert paired_difference([1.0] * 6, [1.0] * 6) == Estimate(0.0, 0.0, 0.0, 6), "not of other figures"


@given(st.lists(st.sampled_from([0.0, 1 / 3, 1.0]), min_size=1, max_size=20))
def test_an_interval_of_shares_has_a_width_and_stays_in_their_range(values: list[float]) -> None:
    found = bootstrap_mean(values, within=(0.0, 1.0))
    assert 0 <= found.low <= found.value + 1e-9 and found.value - 1e-9 <= found.high <= 1
    assert len(values) == 2 or found.low < found.high
    if len(set(values)) > 1:
        assert found == bootstrap_mean(values)


def test_how_often_the_interval_of_a_high_share_misses() -> None:
    """24 images of which each hits with 0.97: half of such panels have no miss, and resampling those sees no spread."""
    rng = np.random.default_rng(1)
    found = [bootstrap_mean((rng.random(24) < 0.97).astype(float).tolist(), 0, (0.0, 1.0)) for _ in range(300)]
    assert sum(not one.low <= 0.97 <= one.high for one in found) / len(found) < 0.05


def test_pairs_must_match() -> None:
    with pytest.raises(ValueError, match="2 and 1"):
        paired_difference([0.1, 0.2], [0.1])


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1), st.integers(0, 1000))
def test_an_estimate_survives_json_to_four_digits(value: float, low: float, high: float, n: int) -> None:
    back = Estimate.from_json(Estimate(value, low, high, n).to_json())
    assert back.n == n
    assert back.value == pytest.approx(value, abs=5.1e-5)
    assert Estimate.from_json(back.to_json()) == back


def test_a_mean_over_pairs_is_in_its_interval_as_often_as_it_should_be() -> None:
    """The mean distance of any two of some points on a line, whose own values each image's mean is taken of."""
    rng, size, wanted = np.random.default_rng(0), 24, 2 / math.sqrt(math.pi)  # of two standard normal numbers
    inside = {"values": 0, "pairs": 0}
    draws = 400
    for seed in range(draws):
        points = rng.normal(size=size)
        values = np.abs(points[:, None] - points).sum(axis=1) / (size - 1)
        alone = bootstrap_mean(values.tolist(), seed)
        for name, estimate in (("values", alone), ("pairs", alone.of_pairs())):
            inside[name] += estimate.low <= wanted <= estimate.high
    assert inside["values"] / draws < 0.8 and 0.91 < inside["pairs"] / draws < 0.98


def test_what_the_images_do_not_show_widens_an_interval() -> None:
    known = Estimate(0.5, 0.4, 0.53, 24)
    moved = known.moved_by(0.05)
    more = 1.959964 * 0.05
    assert (moved.value, moved.n) == (0.5, 24)
    assert moved.low == pytest.approx(0.5 - math.hypot(0.1, more))
    assert moved.high == pytest.approx(0.5 + math.hypot(0.03, more))
    assert known.moved_by(0.0) == Estimate(0.5, pytest.approx(0.4), pytest.approx(0.53), 24)
