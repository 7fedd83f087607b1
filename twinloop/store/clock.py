"""Time stamps, which ``SOURCE_DATE_EPOCH`` fixes: the usual switch for reproducible output."""

from __future__ import annotations

import os
import time

from twinloop.errors import InputError

_LATEST = 253402300799
"""The last second of the year 9999: dates have four digits for the year."""


def fixed_time() -> int | None:
    """The seconds since 1970 (UTC) that ``SOURCE_DATE_EPOCH`` gives; None where it is not set, or no number.

    Raises:
        InputError: a number of seconds beyond all dates.
    """
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not (fixed.isascii() and fixed.isdigit()):
        return None
    if len(fixed) > len(str(_LATEST)) or int(fixed) > _LATEST:
        raise InputError(
            f"SOURCE_DATE_EPOCH is {fixed[:20]}: more seconds than there are to the year 9999. Correct the environment"
            " variable (seconds since 1970), or take it away."
        )
    return int(fixed)


class SystemClock:
    """Local time for the names of files; UTC where it is fixed."""

    def stamp(self) -> str:
        fixed = fixed_time()
        return time.strftime("%Y%m%d_%H%M%S", time.localtime() if fixed is None else time.gmtime(fixed))


def utc_now() -> str:
    """ISO 8601 with seconds, UTC; or the fixed time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(fixed_time()))
