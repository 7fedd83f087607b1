"""Opening the small databases that describe faces and private photos: for their owner only."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from twinloop.errors import StorageError

_PRIMARY = 0xFF
"""Of an error code of SQLite: the rest says more closely what it is."""


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
        os.close(handle)
        path.chmod(0o600)  # also one that was made, or copied here, with wider permissions
    connection = sqlite3.connect(str(path) if path is not None else ":memory:", isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def open_to_read(path: Path) -> sqlite3.Connection | None:
    """A connection that changes nothing and makes no file that outlives it; None where there is no such file.

    Raises:
        sqlite3.Error: it is no database, or may not be read.
    """
    if not path.is_file():
        return None
    problem: sqlite3.Error | None = None
    for mode in _ways_to_read(path):
        connection = None
        try:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)
            connection.execute("PRAGMA query_only=ON")
            connection.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.Error as error:
            problem = error
            if connection is not None:
                connection.close()
        else:
            return connection
    assert problem is not None  # there is at least one way
    raise problem


def _ways_to_read(path: Path) -> tuple[str, ...]:
    """How SQLite is told to open a file, one after the other.

    Even a reader of a file with a write-ahead log makes that log, and one that may write takes it away again. Where
    nothing can be made, on a disk that is read-only, it may only look at the file itself.
    """
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK):
        return ("mode=rw",)
    log = path.with_name(f"{path.name}-wal")
    return ("mode=ro", "mode=ro&immutable=1") if log.exists() else ("mode=ro&immutable=1",)


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
    if getattr(error, "sqlite_errorcode", 0) & _PRIMARY in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageError(
            f"Cannot {verb} {path}: another program is using it ({error}). Wait until it is done, or close it, and run"
            " the same command again."
        )
    return StorageError(
        f"Cannot {verb} {path}: {error}. If the disk is full, free some space and run the same command again; "
        "else delete the file, which is only a cache."
    )
