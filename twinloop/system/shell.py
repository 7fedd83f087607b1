"""Command lines as a person types them here: how they are shown, and what a shell leaves to the program."""

from __future__ import annotations

import glob
import os
import shlex
import subprocess
from collections.abc import Iterable

from twinloop.system import WINDOWS

_ASIDE = frozenset("&|<>^%;(),'`$@{}")
"""Signs that cmd or PowerShell reads as its own where they stand outside of quotes."""


def quote(text: str) -> str:
    """One argument, for a text that people read: never to be run by a program."""
    if not WINDOWS:
        return shlex.quote(text)
    made = subprocess.list2cmdline([text])  # cmd knows double quotes only
    return f'"{made}"' if not made.startswith('"') and _ASIDE.intersection(made) else made


def quote_for_sh(text: str) -> str:
    """One argument, for a file that ``sh`` runs, on Windows too (Git's)."""
    return shlex.quote(text)


def join(argv: Iterable[str]) -> str:
    """All arguments of a command, for a text that people read."""
    return " ".join(map(quote, argv))


def expanded(argv: Iterable[str]) -> list[str]:
    """Arguments as POSIX shells hand them over: ``~`` is the home folder, and wildcards are the files that fit.

    The shells of Windows leave both to programs. What fits nothing stays as it is.
    """
    return [part for item in argv for part in _expanded(item)] if WINDOWS else list(argv)


def _expanded(item: str) -> list[str]:
    path = os.path.expanduser(item)  # noqa: PTH111  (as a `Path` it would not stay as it is)
    if not {"*", "?"}.intersection(path) or os.path.lexists(path):
        return [path]
    return sorted(glob.glob(path.replace("[", "[[]"))) or [path]  # "photo[1].jpg" is a usual name there
