"""The private databases: errors are told once and with the right advice, for each that is held in one."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from twinloop.errors import StorageError
from twinloop.store.private_db import PrivateDb
from twinloop.store.run.catalog import Catalog
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.likeness_cache import LikenessCache

Opening = Callable[[Path], PrivateDb]
EACH = pytest.mark.parametrize(
    "opened", [Catalog, VaultCatalog, lambda path: LikenessCache(path, "1")], ids=["run", "vault", "likeness"]
)


def tables(database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE IF NOT EXISTS word (text TEXT UNIQUE)")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "words.sqlite"
    with PrivateDb(path, tables) as database:
        database.run_many("INSERT INTO word VALUES (?)", [("one",), ("two",)])
    return path


def words(path: Path) -> list[str]:
    with PrivateDb(path, tables, reading=True) as database:
        return [text for (text,) in database.each("SELECT text FROM word ORDER BY text")]


@EACH
def test_what_may_not_be_written_is_no_file_to_delete(
    opened: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permissions mean nothing to root, who may run these tests."""

    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(StorageError, match="No permission to write") as told:
        opened(tmp_path / "a.sqlite")
    assert "delete" not in str(told.value)


@EACH
def test_a_file_in_the_place_of_its_folder_is_told(opened: Opening, tmp_path: Path) -> None:
    (tmp_path / "folder").write_bytes(b"a file")
    for path in (tmp_path / "folder/a.sqlite", tmp_path / "folder/below/a.sqlite"):
        with pytest.raises(StorageError, match=r"Cannot open .*a\.sqlite: .*move away what is in the way"):
            opened(path)


@EACH
def test_a_folder_in_its_place_is_told(opened: Opening, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"Cannot open .*move away what is in the way"):
        opened(tmp_path)


@EACH
def test_a_file_that_is_no_database_is_told(opened: Opening, tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(StorageError, match=r"Cannot open .*delete the file, which is only a cache"):
        opened(path)


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk I/O error"), KeyboardInterrupt()])
def test_where_its_tables_cannot_be_made_it_is_closed(tmp_path: Path, error: BaseException) -> None:
    handed: list[sqlite3.Connection] = []

    def prepare(database: sqlite3.Connection) -> None:
        handed.append(database)
        raise error

    with pytest.raises((StorageError, KeyboardInterrupt)) as told:
        PrivateDb(tmp_path / "a.sqlite", prepare)
    assert isinstance(told.value, StorageError) == isinstance(error, sqlite3.Error)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        handed[0].execute("SELECT 1")


@pytest.mark.parametrize("there", [False, True], ids=["no file", "just being made"])
def test_a_reader_of_what_is_not_there_yet_finds_nothing_and_makes_nothing(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "words.sqlite"
    if there:
        path.touch()
    assert words(path) == []
    assert [(entry.name, entry.stat().st_size) for entry in tmp_path.iterdir()] == [(path.name, 0)] * there


def test_a_batch_is_written_whole_or_not_at_all(made: Path) -> None:
    with PrivateDb(made, tables) as database:
        with pytest.raises(StorageError, match=r"Cannot write .*UNIQUE"), database.batch("write", at_once=True):
            database.run("INSERT INTO word VALUES ('three')")
            database.run("INSERT INTO word VALUES ('one')", verb="write")
        with database.batch():
            database.run("INSERT INTO word VALUES ('four')")
    assert words(made) == ["four", "one", "two"]


def test_where_sqlite_ends_a_batch_itself_the_first_error_is_told(made: Path) -> None:
    """As it does on a full disk."""
    with PrivateDb(made, tables) as database:
        with pytest.raises(StorageError, match="UNIQUE"), database.batch():
            database.run("INSERT OR ROLLBACK INTO word VALUES ('one')")
        assert database.value("SELECT count(*) FROM word") == 2


def test_a_batch_that_takes_the_lock_at_once_says_what_it_could_not_do(made: Path) -> None:
    with closing(sqlite3.connect(made, isolation_level=None)) as other, PrivateDb(made, tables) as database:
        other.execute("BEGIN IMMEDIATE")
        database.run("PRAGMA busy_timeout = 1")
        with database.batch():  # a reader need not wait
            assert database.value("SELECT count(*) FROM word") == 2
        said = "Cannot write .*another program is using it"
        with pytest.raises(StorageError, match=said), database.batch("write", at_once=True):
            pass


def test_one_value(made: Path) -> None:
    with PrivateDb(made, tables) as database:
        assert database.value("SELECT text FROM word WHERE text > ?", ("p",)) == "two"
        assert database.value("SELECT text FROM word WHERE text > ?", ("z",)) is None
        with pytest.raises(StorageError, match=r"Cannot read .*no such table"):
            database.value("SELECT 1 FROM elsewhere", verb="read")
        with pytest.raises(StorageError, match=r"Cannot use .*no such table"):
            list(database.each("SELECT 1 FROM elsewhere"))


def test_what_is_deleted_is_overwritten(made: Path) -> None:
    with PrivateDb(made, tables) as database:
        database.run("INSERT INTO word VALUES ('nobody is to find this again')")
        database.leave_nothing()
        assert b"find this" in made.read_bytes()
        database.run("DELETE FROM word WHERE text LIKE 'nobody%'")
        database.leave_nothing()
        assert b"find this" not in made.read_bytes()
