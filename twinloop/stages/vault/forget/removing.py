"""Removing files of the vault's own, durably."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from twinloop.store.atomic import fsync_folder, storage_errors


def with_journals(database: Path) -> list[Path]:
    """A SQLite file and what SQLite keeps beside it."""
    return [database, *(database.with_name(database.name + end) for end in ("-wal", "-shm"))]


def remove(paths: Iterable[Path]) -> None:
    """Delete files, links and whole folders, durably.

    Not for folders in which the user may have put something: those are `OwnFiles`.
    """
    for path in paths:
        with storage_errors(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        fsync_folder(path.parent)
