"""The small databases that describe faces and private photos: each a cache, for its owner only."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from twinloop.errors import StateError, StorageError
from twinloop.store.atomic import storage_errors

Verb = Literal["open", "read", "write", "use"]
"""What could not be done with a database, as its error says it."""

_IN_THE_WAY = "Choose another folder, or move away what is in the way."
_PRIMARY = 0xFF
"""Of an error code of SQLite: the rest says more closely what it is."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of database is told from other kinds and from other programs' files.

    Attributes:
        name: as errors call it. mark: its ``PRAGMA application_id``. tables: every one that it ever had.
        needed, versions: what one that bears no mark is known by: tables that it has, and its ``PRAGMA user_version``.
    """

    name: str
    mark: bytes
    tables: frozenset[str]
    needed: frozenset[str]
    versions: range

    @property
    def application_id(self) -> int:
        return int.from_bytes(self.mark, "big")


class PrivateDb:
    """A database in autocommit mode with a write-ahead log, readable by its owner only; what is deleted is overwritten.

    Every error of SQLite is told as a StorageError.

    Args:
        path: database file, made where it is not there; None for memory only.
        kind: what it must be where it is there. Nothing is changed in another one.
        prepare: makes its tables, or says why they are not to be used.
        reading: nothing is changed or made; where there is no file, an empty database in memory is used.

    Raises:
        StorageError: the file cannot be made, or is no database. StateError: it is of another kind, or another
            program's.
    """

    def __init__(
        self, path: Path | None, kind: Kind, prepare: Callable[[sqlite3.Connection], None], reading: bool = False
    ) -> None:
        self.path = path
        try:
            with _told_as_storage(path):
                found = _open_to_read(path, kind) if reading and path is not None else None
                self._connection = _open_to_write(None if reading else path, kind) if found is None else found
            try:
                prepare(self._connection)
            except BaseException:
                self.close()
                raise
        except sqlite3.Error as error:
            raise self._unusable("open", error) from error

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, sql: str, values: Sequence[Any] = (), verb: Verb = "use") -> list[Any]:
        """One statement, and all its rows. Nothing is found of a text that no database can hold: a damaged record may
        ask for such a one.

        Raises:
            StorageError: the disk is full, the file is damaged, or another program holds it.
        """
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(verb, error) from error
        except UnicodeEncodeError:
            if not sql.startswith("SELECT"):
                raise
            return []

    def each(self, sql: str, values: Sequence[Any] = (), verb: Verb = "use") -> Iterator[Any]:
        """The same, one row at a time: memory stays flat."""
        try:
            yield from self._connection.execute(sql, values)
        except sqlite3.Error as error:
            raise self._unusable(verb, error) from error

    def value(self, sql: str, values: Sequence[Any] = (), verb: Verb = "use") -> Any:
        """The first column of the first row; None without one. Errors as in `run`."""
        rows = self.run(sql, values, verb)
        return rows[0][0] if rows else None

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]], verb: Verb = "use") -> None:
        """One statement for many rows; they are taken one by one. Errors as in `run`."""
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise self._unusable(verb, error) from error

    @contextmanager
    def batch(self, verb: Verb = "use", at_once: bool = False) -> Iterator[None]:
        """Everything inside becomes durable together, or none of it.

        Args:
            at_once: no other program may write from the start on, not only from the first change on.
        """
        self.run("BEGIN IMMEDIATE" if at_once else "BEGIN", verb=verb)
        try:
            yield
            self.run("COMMIT", verb=verb)
        except BaseException:
            if self._connection.in_transaction:  # on a full disk SQLite has ended it itself
                with contextlib.suppress(sqlite3.Error):  # the first error is the one to tell
                    self._connection.execute("ROLLBACK")
            raise

    def leave_nothing(self, verb: Verb = "use") -> None:
        """Empty the write-ahead log, in which deleted rows live on; waits a few seconds for readers to end.

        Raises:
            StorageError: another program is still reading what was deleted, or as in `run`.
        """
        if self.value("PRAGMA wal_checkpoint(TRUNCATE)", verb=verb):
            raise StorageError(
                f"Another program is reading {self.path}, so what was deleted still lies in {self.path}-wal. "
                "Close that program and run the same command again: it removes the rest."
            )

    def _unusable(self, verb: Verb, error: sqlite3.Error) -> StorageError:
        if getattr(error, "sqlite_errorcode", 0) & _PRIMARY in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StorageError(
                f"Cannot {verb} {self.path}: another program is using it ({error}). Wait until it is done, or close it,"
                " and run the same command again."
            )
        first = "If the disk is full, free some space and run the same command again"
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_NOTADB:
            first = "If something else of yours has this name, name another path"
        return StorageError(
            f"Cannot {verb} {self.path}: {error}. {first}; else delete the file, which is only a cache."
        )


def path_key(path: Path | str) -> bytes:
    """A path as tables hold it: the bytes of its absolute form, with forward slashes on every system."""
    return os.fsencode(Path(os.path.abspath(path)).as_posix())


@contextmanager
def _told_as_storage(path: Path | None) -> Iterator[None]:
    """Turn what the file system says where the file, or the folder that it lies in, cannot be made into one error."""
    try:
        with storage_errors(path or Path()):
            yield
    except OSError as error:
        raise StorageError(f"Cannot open {path}: {error}. {_IN_THE_WAY}") from error


def _open_to_write(path: Path | None, kind: Kind) -> sqlite3.Connection:
    if path is not None:
        if (checked := _open_to_read(path, kind)) is not None:
            checked.close()
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.close(handle)
        path.chmod(0o600)  # also one that was made, or copied here, with wider permissions
    connection = sqlite3.connect(str(path) if path is not None else ":memory:", isolation_level=None)
    try:
        if _number(connection, "application_id") != kind.application_id:
            connection.execute(f"PRAGMA application_id = {kind.application_id}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA secure_delete=ON")  # nothing that was seen of a face lingers in free pages
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _open_to_read(path: Path, kind: Kind) -> sqlite3.Connection | None:
    """A connection that changes nothing and makes no file that outlives it; None where there is no such file, or one
    that is just being made.

    Raises:
        StorageError: something else than a file has its name, or that of a log of it: SQLite would wait for a pipe.
        StateError: it is a database of another kind.
    """
    for name in (path, *(Path(f"{path}-{log}") for log in ("journal", "wal", "shm"))):
        if _is_no_file(name):
            raise StorageError(f"Cannot open {path}: {name} is no file. {_IN_THE_WAY}")
    if not path.is_file():
        return None
    connection = _connected(path)
    try:
        if not _is_of(connection, kind):
            raise StateError(
                f"{path} is no {kind.name}: another program made it, or another command of this one. Nothing was"
                " changed in it. Name another path, or move it away."
            )
        if _tables(connection):
            return connection
    except BaseException:
        connection.close()
        raise
    connection.close()
    return None


def _is_no_file(path: Path) -> bool:
    # one look: whoever closes the database last takes its logs away, between two looks if need be
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


def _is_of(connection: sqlite3.Connection, kind: Kind) -> bool:
    if mark := _number(connection, "application_id"):
        return mark == kind.application_id
    version, tables = _number(connection, "user_version"), _tables(connection)
    if not tables:
        return version == 0
    return version in kind.versions and kind.needed <= tables <= kind.tables


def _tables(connection: sqlite3.Connection) -> frozenset[str]:
    """Names of its tables, and of all else in it that is no part of a table; SQLite's own are left out."""
    names = "SELECT name FROM sqlite_master WHERE type != 'index' AND name NOT GLOB 'sqlite_*'"
    return frozenset(name for (name,) in connection.execute(names))


def _number(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _connected(path: Path) -> sqlite3.Connection:
    """A connection to a file that is there, for reading only."""
    problem: sqlite3.Error | None = None
    for mode in _ways_to_read(path):
        connection = None
        try:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)
            connection.execute("PRAGMA query_only=ON")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
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
