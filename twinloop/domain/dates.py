"""Dates as people type them to say from when and until when: a day, a month or a whole year."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

ANY = "any"
"""Typed for: no such limit. Written down as ""."""
_EPOCH = datetime(1970, 1, 1)


def is_date(text: str) -> bool:
    """Whether it is ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``, of the calendar."""
    if re.fullmatch(r"[0-9]{4}(-[0-9]{2}){0,2}", text) is None:
        return False
    try:
        date.fromisoformat(f"{text}-01-01"[:10])
    except ValueError:
        return False
    return True


def day_of(seconds: float) -> str:
    """``YYYY-MM-DD`` of seconds since 1970."""
    return (_EPOCH + timedelta(seconds=seconds)).date().isoformat()


def is_before(day: str, since: str) -> bool:
    """Whether a day lies before the first one of a day, month or year; "" = no limit."""
    return day[: len(since)] < since


def is_after(day: str, until: str) -> bool:
    """Whether a day lies after the last one of a day, month or year; "" = no limit."""
    return day[: len(until)] > until


def is_empty(since: str, until: str) -> bool:
    """Whether no day lies between the two, both included; "" = no limit."""
    shared = min(len(since), len(until))
    return since[:shared] > until[:shared]
