"""Names of files that somebody else wrote down: where they lead on any system, told without a look at the disk."""

from __future__ import annotations

import re
from pathlib import PurePath, PurePosixPath, PureWindowsPath

_TWO_SLASHES = re.compile(r"[\\/]{2}")


def is_inside(name: str) -> bool:
    """Whether a path that is relative to a folder leads to something in it, on POSIX and on Windows."""
    return "\0" not in name and all(_stays(path) for path in _read(name))


def is_bare(name: str) -> bool:
    """The same of something that lies in the folder itself, not in one below it."""
    return is_inside(name) and all(path.name == name for path in _read(name))


def is_on_network(name: str) -> bool:
    """Whether Windows takes a path for one on another computer (UNC), and asks that as soon as it is looked at."""
    return _TWO_SLASHES.match(name) is not None


def _read(name: str) -> tuple[PurePath, PurePath]:
    return PurePosixPath(name), PureWindowsPath(name)


def _stays(path: PurePath) -> bool:
    # Windows leaves dots and blanks at the end of a part away: of ".. " two dots remain
    return bool(path.parts) and not path.anchor and all(part.strip(" .") for part in path.parts)


def round_in(path: PurePath) -> int | None:
    """The number of the round in a name such as gaps_2.json or gaps_iter2.json; None = there is none. Four digits and
    more are a date.
    """
    found = re.fullmatch(r"gaps_(?:iter)?0*([1-9][0-9]{0,2})", path.stem)
    return int(found[1]) if found else None
