"""Time stamps of file names."""

from __future__ import annotations

import os
import time


class SystemClock:
    """Local time; or the fixed time of ``SOURCE_DATE_EPOCH`` (seconds, UTC), the usual switch for reproducible output."""

    def stamp(self) -> str:
        fixed = os.environ.get("SOURCE_DATE_EPOCH")
        moment = time.gmtime(int(fixed)) if fixed and fixed.isdigit() else time.localtime()
        return time.strftime("%Y%m%d_%H%M%S", moment)


def utc_now() -> str:
    """ISO 8601 with seconds, UTC; fixed by ``SOURCE_DATE_EPOCH``."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = time.gmtime(int(fixed)) if fixed.isdigit() else time.gmtime()
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)
