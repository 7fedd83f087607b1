"""One switch for all times."""

from __future__ import annotations

import re

import pytest

from twinloop.errors import InputError
from twinloop.store.clock import SystemClock, fixed_time, utc_now


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("1700000000", 1700000000), ("0", 0), ("", None), ("-1", None), ("soon", None), ("1.5", None), ("\u00b2", None)],
)
def test_the_switch_is_a_number_of_seconds(given: str, seconds: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", given)
    assert fixed_time() == seconds
    assert re.fullmatch(r"\d{8}_\d{6}", SystemClock().stamp()) and re.fullmatch(r"[\d-]{10}T[\d:]{8}Z", utc_now())


def test_a_time_that_no_date_reaches_is_the_users_to_correct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "253402300799")
    assert utc_now() == "9999-12-31T23:59:59Z"
    for seconds in ("253402300800", "99999999999999999999", "9" * 5000):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", seconds)
        with pytest.raises(InputError, match=r"^SOURCE_DATE_EPOCH is \d{12,20}: .*environment variable"):
            utc_now()
        with pytest.raises(InputError):
            SystemClock().stamp()


def test_every_time_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert SystemClock().stamp() == "20231114_221320"
    assert utc_now() == "2023-11-14T22:13:20Z"


def test_without_it_time_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert fixed_time() is None and utc_now() > "2024"
