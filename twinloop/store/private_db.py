"""Opening the small databases that describe faces and private photos: for their owner only."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from twinloop.errors import StorageError


def open_private(path: Path | None) -> sqlite3.Connection:
    """A connection in autocommit mode with a write-ahead log; the file is made where it is not there, readable by its
    owner only.

    Args:
        path: database file, or None for memory only.

    Raises:
        OSError: the file cannot be made. sqlite3.Error: it is no database.
    """
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.fchmod(handle, 0o600)  # also one that was made, or copied here, with wider permissions
        os.close(handle)
    connection = sqlite3.connect(str(path) if path is not None else ":memory:", isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def empty_log(connection: sqlite3.Connection, path: Path | None) -> None:
    """Empty the write-ahead log, in which deleted rows live on; waits a few seconds for readers to end.

    Raises:
        StorageError: another program is still reading what was deleted. sqlite3.Error: the file is damaged.
    """
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise StorageError(
            f"Another program is reading {path}, so what was deleted still lies in {path}-wal. "
            "Close that program and run the same command again: it removes the rest."
        )


def unusable(verb: str, path: Path | None, error: Exception) -> StorageError:
    """The error to raise where a database cannot be opened, read, written, used (``verb``): each of them is only a
    cache.
    """
    return StorageError(
        f"Cannot {verb} {path}: {error}. If the disk is full, free some space and run the same command again; "
        "else delete the file, which is only a cache."
    )
