"""Names of files as Windows takes them, and in part macOS: case makes no difference, and Windows drops dots and blanks
at the end of a name.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

_home = ""
_lstat, _listdir = os.lstat, os.listdir
_OF_ONE_PATH = "access chmod listdir lstat mkdir readlink rmdir scandir stat utime".split()


def below(folder: Path) -> None:
    """Let it be so below a folder, for all that goes through `os` and `open`."""
    global _home
    _home = os.fspath(folder)
    for name in _OF_ONE_PATH:
        setattr(os, name, _found_first(getattr(os, name)))
    io.open = builtins.open = _found_first(io.open)  # type: ignore[assignment]


def there(path: Any) -> Any:
    """What a path is called where it is there; of what is not there, what it would be called."""
    if isinstance(path, int) or not isinstance(text := os.fspath(path), str):
        return path
    whole = os.path.join(_home, text)
    if not whole.startswith(f"{_home}/") or _is_there(whole):
        return path
    found = _home
    for part in whole[len(_home) :].split("/"):
        found = os.path.normpath(os.path.join(found, part)) if part in ("", ".", "..") else _in(found, part)
    return found


def to_be(path: Any, source: Any) -> Any:
    """What ``source`` is called after it was renamed: case can be changed."""
    found = there(path)
    if _is_there(os.fspath(found)) and Path(found).samefile(source):
        return Path(found).with_name(_without_end(Path(path).name))
    return found


def _in(folder: str, name: str) -> str:
    name = _without_end(name)
    if not _is_there(os.path.join(folder, name)):
        with contextlib.suppress(OSError):
            name = next((other for other in _listdir(folder) if other.casefold() == name.casefold()), name)
    return os.path.join(folder, name)


def _without_end(name: str) -> str:
    return name.rstrip(" .")


def _is_there(path: str) -> bool:
    try:
        _lstat(path)
    except OSError:
        return False
    return True


def _found_first(function: Callable[..., Any]) -> Callable[..., Any]:
    def of_what_is_there(path: Any = ".", *others: Any, **named: Any) -> Any:
        return function(path if named.get("dir_fd") is not None else there(path), *others, **named)

    return of_what_is_there
