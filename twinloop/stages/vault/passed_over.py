"""What a walk passes over though photos lie there: previews, recycle bins and snapshots that other programs keep, what
the user excluded, and what this program made itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.names import composed
from twinloop.errors import InputError, StateError
from twinloop.store.atomic import read_json
from twinloop.store.pictures.sidecar import NOTES, PERSON
from twinloop.system import shell

_NAMES = (
    "@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "lost+found", "$RECYCLE.BIN", "RECYCLER",
    "System Volume Information", "Thumbs.db", "ehthumbs.db",
)  # fmt: skip
"""Of Synology, QNAP, Linux and Windows. Hidden ones (``.stversions``, ``.Trash-1000``) need no place here."""
_ENDINGS = (".lrdata",)
"""Lightroom's previews."""
_LIBRARIES = (".photoslibrary", ".photolibrary", ".migratedphotolibrary", ".aplibrary")
"""Of Apple's Photos, iPhoto and Aperture: a folder that looks like a file."""
_IN_LIBRARIES = ("originals", "masters")
"""What such a library holds of photos as they were taken, by its age; the rest is previews, edits and databases."""
_BY_NAME = {name.casefold(): name for name in _NAMES}
MADE_HERE = "prepared by this program"
MANIFEST = "manifest.json"
_CHOICE = re.compile(r"\{([^{}]*)\}")
_SIGNS = re.compile(r"\[!?[^\]/]+\]|\*+|.", re.DOTALL)
_WILD = {"*": "[^/]*", "**": "[^/]*", "?": "[^/]"}


class Exclusions:
    """Patterns of what is not scanned.

    A pattern is a glob on the path below the scanned folder: ``*`` and ``?`` stay within a name, ``**`` goes through
    any number of folders, ``{a,b}`` is either. One without a slash is the name of a file or folder at any depth, one
    that begins with the root of the disk is of the whole path. Of a folder that matches everything is excluded; with
    ``/**`` behind, the pattern is of folders alone. Capital and small letters are the same.

    Raises:
        InputError: one cannot be read.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self.patterns = tuple(dict.fromkeys(patterns))
        try:
            self._tests = [_Test.of(pattern) for pattern in self.patterns]
        except re.error as error:
            raise InputError(f"A pattern of {', '.join(self.patterns)} cannot be read: {error}.") from error

    def matches(self, path: str, top: str, *, folder: bool) -> list[str]:
        """All patterns that a path below ``top`` matches.

        Args:
            folder: the path is one.
        """
        if not self._tests:
            return []
        whole, inner = (_plain(text) for text in (path, os.path.relpath(path, top)))
        return [
            test.pattern
            for test in self._tests
            if (folder or not test.folders) and test.regex.fullmatch(whole if test.absolute else inner)
        ]

    def around(self, path: str) -> list[str]:
        """The patterns of whole paths that are of this path itself, or of a folder that it is in."""
        places = [_plain(os.fspath(place)) for place in (Path(path), *Path(path).parents)]
        return [test.pattern for test in self._tests if test.absolute and any(map(test.regex.fullmatch, places))]


@dataclass(frozen=True)
class _Test:
    """A pattern as paths are compared with it.

    Attributes:
        absolute: it is of whole paths. folders: no file matches it.
    """

    pattern: str
    absolute: bool
    folders: bool
    regex: re.Pattern[str]

    @classmethod
    def of(cls, pattern: str) -> _Test:
        plain = _plain(pattern)
        anchored = "/" in plain.removesuffix("/")
        # all that is in a folder is the folder
        kept, inside = re.subn(r"/\*\*/*$", "", plain)
        kept = kept.rstrip("/").removeprefix("./") or plain[:1]
        if not anchored:
            kept = f"**/{kept}"
        regex = re.compile("|".join(_regex(made) for made in _choices(kept)), re.DOTALL)
        return cls(pattern, Path(pattern).is_absolute(), bool(inside) and not kept.endswith("**"), regex)


def passed_name(name: str, folder: str) -> str | None:
    """Of which kind an entry of ``folder`` is, where it is passed over by its name.

    Args:
        folder: its path; of libraries of photos, most is passed over.
    """
    folded = name.casefold()
    for ending in _ENDINGS:
        if folded.endswith(ending):
            return f"*{ending}"
    for ending in _LIBRARIES:
        if folder.casefold().endswith(ending) and folded not in _IN_LIBRARIES:
            return f"in *{ending}"
    return _BY_NAME.get(folded)


def made_here(folder: str, names: Iterable[str]) -> bool:
    """Whether this program wrote the pictures of a folder: a training set, or a package of `export`.

    A person.json that was written by hand lies beside photos.

    Args:
        names: of its files.
    """
    there = frozenset(names)
    if NOTES in there:
        return True
    person = _object(folder, PERSON) if PERSON in there else {}
    package = _object(folder, MANIFEST) if MANIFEST in there else {}
    return ("person" in person and bool(person.get("files"))) or (
        str(package.get("program")).startswith("twinloop ") and bool(package.get("export"))
    )


def counted(passed: Mapping[str, int], excluded: Mapping[str, int]) -> str:
    """What was passed over, in words: how many files and folders of each kind, and by each pattern; "" = nothing."""
    kinds = [f"{count} {kind}" for kind, count in passed.items()]
    return ", ".join(kinds + [f"{count} by --exclude {shell.quote(pattern)}" for pattern, count in excluded.items()])


def _object(folder: str, name: str) -> dict[str, Any]:
    try:
        data = read_json(Path(folder, name))
    except (InputError, StateError, RecursionError):  # somebody else's
        return {}
    return data if isinstance(data, dict) else {}


def _plain(text: str) -> str:
    return composed(text.replace(os.sep, "/")).casefold()


def _choices(pattern: str) -> list[str]:
    """``{a,b}`` written out."""
    found = _CHOICE.search(pattern)
    if found is None:
        return [pattern]
    made = [f"{pattern[: found.start()]}{choice}{pattern[found.end() :]}" for choice in found[1].split(",")]
    return [each for one in made for each in _choices(one)]


def _regex(pattern: str) -> str:
    """Of one pattern; every part of the path is one of its own."""
    *folders, last = pattern.split("/")
    return "".join("(?:[^/]+/)*" if part == "**" else f"{_part(part)}/" for part in folders) + _part(last)


def _part(part: str) -> str:
    """Of a pattern of names."""
    made = (_WILD.get(sign) or _one_of(sign) or re.escape(sign) for sign in _SIGNS.findall(part))
    return "".join(made)


def _one_of(sign: str) -> str:
    """``[abc]``, ``[a-z]``, ``[!abc]``; "" for any other sign."""
    if len(sign) < 3:
        return ""
    inside = re.sub(r"([\\\[\]&~|^])", r"\\\1", sign[1:-1].removeprefix("!"))
    return f"(?!/)[{'^' if sign[1] == '!' and len(sign) > 3 else ''}{inside}]"
