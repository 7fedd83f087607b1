"""Time stamps, which ``SOURCE_DATE_EPOCH`` fixes: the usual switch for reproducible output."""

from __future__ import annotations

import os
import time


def fixed_time() -> int | None:
    """The seconds since 1970 (UTC) that ``SOURCE_DATE_EPOCH`` gives; None where it is not set, or no number."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    return int(fixed) if fixed.isascii() and fixed.isdigit() else None


class SystemClock:
    """Local time for the names of files; UTC where it is fixed."""

    def stamp(self) -> str:
        fixed = fixed_time()
        return time.strftime("%Y%m%d_%H%M%S", time.localtime() if fixed is None else time.gmtime(fixed))


def utc_now() -> str:
    """ISO 8601 with seconds, UTC; or the fixed time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(fixed_time()))
