"""Scanned folders that are not there at the moment, on a disk that is unplugged, say: what is known of them is kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Set
from pathlib import Path

from twinloop.store.vault.files import FileEntry, VaultFiles


def online_and_offline(folders: Iterable[str], files: VaultFiles) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The folders (or files) that are there, and those that are away.

    One that is gone from within a folder that is there was moved or deleted: it is neither, and what is known of it may
    go. One that is quite empty may be the place of a disk.
    """
    there: list[Path] = []
    missing: list[Path] = []
    for folder in map(Path, folders):
        (there if is_there(folder, files) else missing).append(folder)
    roots = frozenset(there)
    return tuple(there), tuple(path for path in missing if os.path.exists(path) or not _walked_past(path, roots))


def is_there(folder: Path, files: VaultFiles) -> bool:
    """Whether a scanned folder (or file) is there. One that held photos and is quite empty now is the place of a disk
    that is away.
    """
    return os.path.exists(folder) and not (is_empty(folder) and files.files_below([folder]))


def is_empty(folder: Path) -> bool:
    """Whether this is a folder without any entry, hidden ones included."""
    try:
        with os.scandir(folder) as listed:
            return next(listed, None) is None
    except OSError:
        return False


def moved_out(files: VaultFiles, missing: Iterable[Path]) -> tuple[Path, ...]:
    """Those of these places that are empty folders because their photos were moved: each is known elsewhere too, in a
    file that is there.
    """
    return tuple(
        folder
        for folder in missing
        if is_empty(folder)
        and (photos := files.contents_below([folder]))
        and all(any(map(_is_as_scanned, files.holding(sha256))) for sha256 in photos)
    )


def _is_as_scanned(entry: FileEntry) -> bool:
    try:
        seen = entry.path.stat()
    except OSError:
        return False
    return (seen.st_size, seen.st_mtime_ns) == (entry.size, entry.mtime_ns)


def is_offline(path: str, away: Set[Path]) -> bool:
    """Whether a file is one of these places, or lies below one."""
    return bool(away) and not away.isdisjoint((Path(path), *Path(path).parents))


def renamed(files: VaultFiles, missing: Iterable[Path]) -> dict[Path, Path]:
    """Folders that are not there -> where all their photos are now; only those of which that is so."""
    places = {folder: files.moved_to(folder) for folder in missing}
    return {folder: place for folder, place in places.items() if place is not None and place.is_dir()}


def _walked_past(path: Path, roots: Set[Path]) -> bool:
    """Whether a walk of the roots comes to the place where this path was, and finds that it is gone."""
    nearest = next(place for place in (path, *path.parents) if os.path.lexists(place))
    for place in (nearest, *nearest.parents):
        if place in roots:
            return True
        if place.is_symlink():  # walks do not follow it; what it leads to may be on a disk that is away
            return False
    return False
