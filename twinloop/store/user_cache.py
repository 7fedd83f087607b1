"""Where this program keeps, outside of the user's folders, what only saves time. Deleting it costs nothing else."""

from __future__ import annotations

import os
from pathlib import Path

OFF = "off"


def user_cache() -> Path | None:
    """``$TWINLOOP_CACHE``, else ``twinloop`` in ``$XDG_CACHE_HOME`` or ``~/.cache``; None when it is ``off`` or there
    is no home.
    """
    asked = os.environ.get("TWINLOOP_CACHE")
    if asked:
        return None if asked == OFF else Path(asked)
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "twinloop"
    try:
        return Path.home() / ".cache" / "twinloop"
    except RuntimeError:
        return None
