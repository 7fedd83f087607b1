"""The catalogue of a vault: a look changes and makes nothing, and throws none of another version away."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from twinloop.errors import StorageError
from twinloop.store.vault.catalog import VERSION, OtherVersion, VaultCatalog
from twinloop.store.vault.files import FileEntry

PHOTO = FileEntry(Path("/photos/a.jpg"), 1, 2, "a" * 64, ctime_ns=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A catalogue that knows one file."""
    path = tmp_path / "vault" / "catalog.sqlite"
    with VaultCatalog(path) as catalog:
        catalog.files.put(PHOTO)
    return path


def of_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {version}")


def on_a_disk_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions mean nothing to root, who may run these tests."""
    real: Callable[..., bool] = os.access
    monkeypatch.setattr(os, "access", lambda path, mode, **more: not mode & os.W_OK and real(path, mode, **more))


@pytest.fixture(params=["writable", "read-only"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "read-only":
        on_a_disk_that_cannot_be_written(monkeypatch)
    yield request.param


def test_a_look_reads_what_is_there_and_leaves_the_folder_as_it_was(path: Path, disk: str) -> None:
    before = {entry.name: entry.read_bytes() for entry in path.parent.iterdir()}
    with VaultCatalog(path, reading=True) as catalog:
        assert catalog.files.at(PHOTO.path) == PHOTO and catalog.files.any()
        with pytest.raises(StorageError):
            catalog.files.put(PHOTO)
    assert {entry.name: entry.read_bytes() for entry in path.parent.iterdir()} == before


def test_a_look_sees_what_another_process_has_just_written(path: Path, disk: str) -> None:
    """It lies in the log still."""
    with VaultCatalog(path) as writer:
        writer.run("DELETE FROM file")
        with VaultCatalog(path, reading=True) as catalog:
            assert not catalog.files.any()


def test_where_there_is_no_catalogue_nothing_is_known_and_none_is_made(tmp_path: Path) -> None:
    with VaultCatalog(tmp_path / "vault/catalog.sqlite", reading=True) as catalog:
        assert catalog.files.all() == {} and not catalog.files.any()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("version", [VERSION - 1, VERSION + 1])
@pytest.mark.parametrize("reading", [True, False])
def test_one_of_another_version_is_kept_until_a_scan_makes_it_anew(path: Path, version: int, reading: bool) -> None:
    of_version(path, version)
    with pytest.raises(OtherVersion, match=r"another version of this program.*twinloop vault scan --vault"):
        VaultCatalog(path, reading=reading)
    with VaultCatalog(path, reading=True, any_version=True) as catalog:
        assert catalog.run("SELECT path FROM file") == [(b"/photos/a.jpg",)]
    with VaultCatalog(path, any_version=True) as catalog:
        assert not catalog.files.any()
        catalog.files.put(PHOTO)
    with VaultCatalog(path, reading=True) as catalog:
        assert catalog.files.any()


def test_a_scan_makes_nothing_anew_that_is_not_this_programs(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE diary (day TEXT)")
        database.execute("INSERT INTO diary VALUES ('one')")
        database.commit()
    of_version(path, VERSION - 1)
    with VaultCatalog(path, any_version=True) as catalog:
        assert catalog.run("SELECT day FROM diary") == [("one",)] and not catalog.files.any()


def test_a_catalogue_in_use_is_not_to_be_deleted(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other, VaultCatalog(path) as catalog:
        other.execute("BEGIN IMMEDIATE")
        catalog.run("PRAGMA busy_timeout = 1")
        with pytest.raises(StorageError, match=r"another program is using it \(database is locked\)") as told:
            catalog.files.put(PHOTO)
        assert "delete" not in str(told.value)
        other.execute("ROLLBACK")


def test_a_file_that_is_no_database_is_told_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(b"no database" * 100)
    for reading in (True, False):
        with pytest.raises(StorageError, match="delete the file, which is only a cache"):
            VaultCatalog(path, reading=reading)
