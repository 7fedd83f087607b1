"""The private databases: errors are told once and with the right advice, for each that is held in one."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from twinloop.errors import StateError, StorageError
from twinloop.store.private_db import Kind, PrivateDb
from twinloop.store.run.catalog import Catalog
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.likeness_cache import LikenessCache

Opening = Callable[[Path], PrivateDb]
OPENED: dict[str, Opening] = {
    "run": Catalog, "vault": VaultCatalog, "likeness": lambda path: LikenessCache(path, "1"),
}  # fmt: skip
EACH = pytest.mark.parametrize("opened", OPENED.values(), ids=OPENED)

NAMES = frozenset({"word"})
WORDS = Kind("list of words", b"word", NAMES, needed=NAMES, versions=range(1))


def tables(database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE IF NOT EXISTS word (text TEXT UNIQUE)")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "words.sqlite"
    with PrivateDb(path, WORDS, tables) as database:
        database.run_many("INSERT INTO word VALUES (?)", [("one",), ("two",)])
    return path


def words(path: Path) -> list[str]:
    with PrivateDb(path, WORDS, tables, reading=True) as database:
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
    for path in (tmp_path, Path()):
        with pytest.raises(StorageError, match=r"Cannot open .*move away what is in the way"):
            opened(path)


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
        PrivateDb(tmp_path / "a.sqlite", WORDS, prepare)
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
    with PrivateDb(made, WORDS, tables) as database:
        with pytest.raises(StorageError, match=r"Cannot write .*UNIQUE"), database.batch("write", at_once=True):
            database.run("INSERT INTO word VALUES ('three')")
            database.run("INSERT INTO word VALUES ('one')", verb="write")
        with database.batch():
            database.run("INSERT INTO word VALUES ('four')")
    assert words(made) == ["four", "one", "two"]


def test_where_sqlite_ends_a_batch_itself_the_first_error_is_told(made: Path) -> None:
    """As it does on a full disk."""
    with PrivateDb(made, WORDS, tables) as database:
        with pytest.raises(StorageError, match="UNIQUE"), database.batch():
            database.run("INSERT OR ROLLBACK INTO word VALUES ('one')")
        assert database.value("SELECT count(*) FROM word") == 2


def test_a_batch_that_takes_the_lock_at_once_says_what_it_could_not_do(made: Path) -> None:
    with closing(sqlite3.connect(made, isolation_level=None)) as other, PrivateDb(made, WORDS, tables) as database:
        other.execute("BEGIN IMMEDIATE")
        database.run("PRAGMA busy_timeout = 1")
        with database.batch():  # a reader need not wait
            assert database.value("SELECT count(*) FROM word") == 2
        said = "Cannot write .*another program is using it"
        with pytest.raises(StorageError, match=said), database.batch("write", at_once=True):
            pass


def test_one_value(made: Path) -> None:
    with PrivateDb(made, WORDS, tables) as database:
        assert database.value("SELECT text FROM word WHERE text > ?", ("p",)) == "two"
        assert database.value("SELECT text FROM word WHERE text > ?", ("z",)) is None
        with pytest.raises(StorageError, match=r"Cannot read .*no such table"):
            database.value("SELECT 1 FROM elsewhere", verb="read")
        with pytest.raises(StorageError, match=r"Cannot use .*no such table"):
            list(database.each("SELECT 1 FROM elsewhere"))


def test_what_is_deleted_is_overwritten(made: Path) -> None:
    with PrivateDb(made, WORDS, tables) as database:
        database.run("INSERT INTO word VALUES ('nobody is to find this again')")
        database.leave_nothing()
        assert b"find this" in made.read_bytes()
        database.run("DELETE FROM word WHERE text LIKE 'nobody%'")
        database.leave_nothing()
        assert b"find this" not in made.read_bytes()


def database_of(path: Path, *statements: str) -> bytes:
    """A database that somebody else made, with rights of its own."""
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()
    path.chmod(0o644)
    return path.read_bytes()


@EACH
@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE bookmark (url TEXT)", "INSERT INTO bookmark VALUES ('mine')"),
        ("CREATE TABLE file (path TEXT, size INTEGER)", "PRAGMA user_version = 3"),
        (
            "CREATE TABLE observation (a)",
            "CREATE TABLE file (a)",
            "CREATE TABLE signature (a)",
            "CREATE TABLE bird (a)",
        ),
        ("CREATE TABLE observation (a)", "CREATE TABLE file (a)", "PRAGMA user_version = 7"),
        ("CREATE TABLE file (a)", "CREATE TABLE photo (a)", "CREATE TABLE face (a)", "PRAGMA user_version = 4"),
        ("CREATE TABLE signature (a)", "CREATE VIEW whose AS SELECT a FROM signature"),
        ("CREATE TABLE signature (a)", "CREATE TABLE observation (a)", "PRAGMA application_id = 252006674"),
        ("PRAGMA application_id = 252006674",),
        ("PRAGMA user_version = 1",),
    ],
)
def test_nothing_is_changed_in_a_database_of_another_program(
    opened: Opening, tmp_path: Path, statements: tuple[str, ...]
) -> None:
    path = tmp_path / "a.sqlite"
    before = database_of(path, *statements)
    with pytest.raises(StateError, match=r"a\.sqlite is no .*another program made it.*Name another path"):
        opened(path)
    assert path.read_bytes() == before and stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("reading", [False, True])
def test_one_kind_is_not_taken_for_another(tmp_path: Path, reading: bool) -> None:
    for name, opened in OPENED.items():
        opened(tmp_path / name).close()
        others: list[Opening] = [other for other in OPENED.values() if other is not opened]
        if reading:
            others = [partial(kind, reading=True) for kind in (Catalog, VaultCatalog) if kind is not opened]
        before = (tmp_path / name).read_bytes()
        for other in others:
            with pytest.raises(StateError, match="is no "):
                other(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before


@EACH
def test_one_without_a_mark_is_known_by_its_tables_and_marked(opened: Opening, tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with opened(path) as database:
        mark = database.value("PRAGMA application_id")
        database.run("PRAGMA application_id = 0")
    with opened(path) as database:
        assert mark and database.value("PRAGMA application_id") == mark


@EACH
def test_a_pipe_in_the_place_of_its_log_is_not_waited_for(opened: Opening, tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    opened(path).close()
    os.mkfifo(tmp_path / "a.sqlite-journal")
    with pytest.raises(StorageError, match=r"a\.sqlite-journal is no file.*move away"):
        opened(path)


@EACH
def test_a_log_may_go_while_it_is_looked_at(opened: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closes the database last takes it away: of two looks the first may find it and the second not."""
    path = tmp_path / "a.sqlite"
    opened(path).close()
    seen = Path.exists
    monkeypatch.setattr(Path, "exists", lambda self: self.name.endswith("-shm") or seen(self))
    opened(path).close()


def test_of_a_text_that_it_cannot_hold_nothing_is_found(made: Path) -> None:
    with PrivateDb(made, WORDS, tables) as database:
        assert database.run("SELECT text FROM word WHERE text = ?", ["\udcff"]) == []
        with pytest.raises(UnicodeEncodeError):
            database.run("INSERT INTO word VALUES (?)", ["\udcff"])
