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
def test_a_file_that_is_no_database_is_told_and_closed(opened: Opening, tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(StorageError, match="Cannot open .*delete the file, which is only a cache"):
        opened(path)


@EACH
def test_where_its_tables_cannot_be_made_it_is_closed(
    opened: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(path)) as other:  # a view stands where a table is to be
        for name in ("file", "signature"):
            other.execute(f"CREATE VIEW {name} AS SELECT 1 AS sha256")
        other.execute("PRAGMA user_version = 3")
        other.commit()
    connections: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def noted(*args: object, **more: object) -> sqlite3.Connection:
        connections.append(connect(*args, **more))  # type: ignore[call-overload]
        return connections[-1]

    monkeypatch.setattr(sqlite3, "connect", noted)
    with pytest.raises(StorageError):
        opened(path)
    for connection in connections:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")
    assert connections
