"""Days, months and years as limits, both included."""

from __future__ import annotations

import pytest

from twinloop.domain.dates import day_of, is_after, is_before, is_date, is_empty


@pytest.mark.parametrize("text", ["2015", "2015-12", "2016-02-29", "0001"])
def test_dates(text: str) -> None:
    assert is_date(text)


@pytest.mark.parametrize(
    "text", ["", "15", "2015-1", "2015-13", "2015-00", "2015-02-29", "2015-3-7", "0000", "2015-", "20150307", "²015"]
)
def test_what_is_no_date(text: str) -> None:
    assert not is_date(text)


@pytest.mark.parametrize(
    ("day", "limit", "before", "after"),
    [
        ("2014-12-31", "2015", True, False),
        ("2015-01-01", "2015", False, False),
        ("2015-12-31", "2015", False, False),
        ("2016-01-01", "2015", False, True),
        ("2015-02-28", "2015-03", True, False),
        ("2015-03-31", "2015-03", False, False),
        ("2015-03-06", "2015-03-07", True, False),
        ("2015-03-07", "2015-03-07", False, False),
        ("2015-03-08", "2015-03-07", False, True),
        ("2015-03-08", "", False, False),
    ],
)
def test_a_limit_is_included_as_a_whole(day: str, limit: str, before: bool, after: bool) -> None:
    assert (is_before(day, limit), is_after(day, limit)) == (before, after)


def test_the_day_of_a_moment() -> None:
    assert day_of(0) == "1970-01-01" and day_of(86_399.9) == "1970-01-01" and day_of(86_400) == "1970-01-02"
    assert day_of(-1) == "1969-12-31"


@pytest.mark.parametrize(
    ("since", "until", "empty"),
    [
        ("2016", "2015", True),
        ("2016", "2015-06", True),
        ("2015-07", "2015-06", True),
        ("2015-06", "2015", False),
        ("2015", "2015-06", False),
        ("2015-06-01", "2015-06-01", False),
        ("2016", "", False),
        ("", "2015", False),
    ],
)
def test_limits_between_which_nothing_lies(since: str, until: str, empty: bool) -> None:
    assert is_empty(since, until) == empty
