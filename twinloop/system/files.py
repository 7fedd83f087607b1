"""Files: how they are opened, and how one takes another's name."""

from __future__ import annotations

import os
import time
from pathlib import Path

from twinloop.system import WINDOWS

BINARY: int = getattr(os, "O_BINARY", 0)
"""For `os.open` before `os.write`: Windows would write a line's end as two bytes."""
NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)
"""For `os.open`: a pipe that lies in a file's place must not block. Windows has none among its files."""
NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
"""For `os.open`: a link in a file's place is an error. Windows has no such flag."""
_PAUSES = (0.01, 0.05, 0.1, 0.2, 0.4, 0.8) if WINDOWS else ()
"""Seconds between two tries to rename. Windows refuses while anybody has one of the two open: a virus scanner for a
moment, the page that shows it."""


def rename_over(source: Path, target: Path) -> None:
    """Give a file (or, where nothing has that name, a folder) its name; a file of that name is gone then."""
    for pause in _PAUSES:
        try:
            os.replace(source, target)
        except PermissionError:
            time.sleep(pause)
        else:
            return
    os.replace(source, target)


def rename_at_once(source: Path, target: Path) -> None:
    """As `rename_over`, for a file that is soon written again: where Windows refuses for now, that is an OSError."""
    os.replace(source, target)
