"""Files and folders that have two names: by a link, by `/tmp` and `/private/tmp`, by two links to one content."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path

from twinloop.domain.wording import NAMED
from twinloop.stages.vault.opened import OpenVault
from twinloop.store.vault.files import FileEntry


def identity(path: str | Path) -> Hashable:
    """The same for all names of one file or folder."""
    try:
        seen = Path(path).stat()
    except OSError:  # on a disk that is away
        return os.path.realpath(path)
    return (seen.st_dev, seen.st_ino) if seen.st_ino else os.path.realpath(path)


def one_name_each(paths: Iterable[str]) -> list[str]:
    """The paths without further names of files among them; of each file the first is left."""
    names: dict[Hashable, str] = {}
    for path in paths:
        names.setdefault(identity(path), path)
    return list(names.values())


def second_names(roots: Sequence[Path], comes_to: Callable[[str, str], bool]) -> dict[Path, Path]:
    """The roots that a walk of another one comes to under another name -> that name. Of two names the first counts.

    Args:
        roots: folders and files that are there. comes_to: whether the walk of a root (second) comes to a place below it
            (first), or passes it over.
    """
    first: dict[Hashable, Path] = {}
    for root in roots:
        first.setdefault(identity(root), root)
    held = {root: found for root in roots if (found := _held(root, first, comes_to)) is not None}
    return {root: name for root, (holder, name) in held.items() if name != root and holder not in held}


def _held(root: Path, first: Mapping[Hashable, Path], comes_to: Callable[[str, str], bool]) -> tuple[Path, Path] | None:
    """The outermost other root that holds this one and whose walk comes to it, and what it is called there."""
    real = Path(os.path.realpath(root))
    for place in reversed((real, *real.parents)):
        holder = first.get(identity(place))
        if holder is not None and holder != root:
            name = holder / real.relative_to(place)
            if name == holder or comes_to(os.fspath(name), os.fspath(holder)):
                return holder, name
    return None


def remark(twice: Mapping[Path, Path]) -> str:
    """What is said of second names."""
    text = "; ".join(f"{other} is {name} under another name" for other, name in list(twice.items())[:NAMED])
    more = len(twice) - NAMED
    return f"{text}{f'; and {more} more' if more > 0 else ''}: scanned once, and kept under that name."


def called_in(roots: Iterable[str], path: Path) -> Path:
    """What a scan of these roots calls a file or folder that may be named otherwise; the path as it is where that is
    its name.
    """
    names = {identity(root): Path(root) for root in roots}
    real = Path(os.path.realpath(path))
    for place in (real, *real.parents):
        if (root := names.get(identity(place))) is not None:
            name = root / real.relative_to(place)
            return path if os.fspath(name) == os.path.abspath(path) else name
    return path


def file_called(opened: OpenVault, path: Path) -> FileEntry | None:
    """What the catalogue knows of a file, whichever of its names this is."""
    return opened.catalog.files.at(path) or opened.catalog.files.at(called_in(opened.record.folders, path))
