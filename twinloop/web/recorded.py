"""JSON of a run as the page needs it: parsed once for each content, since every thumbnail asks for the verdicts of its
round.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from twinloop.store.atomic import read_json


def recorded(path: Path) -> Any:
    """What the file holds; shared by all who ask, so not to be changed.

    Raises:
        InputError: missing. StateError: not JSON.
    """
    try:
        found = path.stat()
    except OSError:
        return read_json(path)
    # records are replaced, never written into: another content is another inode
    return _parsed(path, found.st_ino, found.st_mtime_ns, found.st_size)


def identity(path: Path) -> tuple[int, ...]:
    """What is another one when a file's content is another one; () for no file, and for an empty one."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_mtime_ns, found.st_size) if found.st_size else ()


KEPT = 1024
"""Files: the list of runs asks for three of each run, again and again."""


@lru_cache(maxsize=KEPT)
def _parsed(path: Path, _inode: int, _changed: int, _size: int) -> Any:
    return read_json(path)
