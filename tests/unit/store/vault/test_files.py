"""The vault's table of files: what is asked of it is answered by path and content."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.files import FileEntry, VaultFiles
from twinloop.store.vault.forget import all_contents
from twinloop.store.vault.summaries import paths_of_copies


@pytest.fixture
def catalog() -> Iterator[VaultCatalog]:
    """Two photos, a copy of the first below another folder, and a file that is no photo."""
    with VaultCatalog(None) as catalog:
        for path, content in (("/a/1.jpg", "one"), ("/a/in/2.jpg", "two"), ("/a b/1.jpg", "one"), ("/a0", "three")):
            catalog.files.put(FileEntry(Path(path), 1, 2, content))
        catalog.files.put(FileEntry(Path("/a/broken.jpg"), 1, 2, "four", "is damaged"))
        yield catalog


@pytest.fixture
def files(catalog: VaultCatalog) -> VaultFiles:
    return catalog.files


def test_below_a_folder_is_neither_beside_it_nor_what_its_name_begins(files: VaultFiles) -> None:
    assert files.contents_below([Path("/a")]) == {"one", "two"}
    assert files.contents_below([Path("/a/in/2.jpg"), Path("/a0")]) == {"two", "three"}
    assert files.contents_below([Path("/")]) == {"one", "two", "three"}
    assert files.files_below([Path("/a"), Path("/a b")]) == 3


def test_files_are_found_by_name_and_content(files: VaultFiles) -> None:
    assert files.called("1.jpg") == [(Path("/a b/1.jpg"), "one"), (Path("/a/1.jpg"), "one")]
    assert files.called("broken.jpg") == [] and files.called_any({"BROKEN.jpg"}) == [Path("/a/broken.jpg")]
    assert files.holds("four") and not files.holds("five")
    assert files.skipped() == [(Path("/a/broken.jpg"), "is damaged")]


def test_a_folder_was_moved_where_all_its_photos_are_elsewhere_at_the_same_place(files: VaultFiles) -> None:
    assert files.moved_to(Path("/a")) is None, "one of them is not there"
    files.put(FileEntry(Path("/a b/in/2.jpg"), 1, 2, "two"))
    assert files.moved_to(Path("/a")) == Path("/a b")


def test_what_is_doubted_is_no_longer_as_its_stat_says(files: VaultFiles) -> None:
    files.doubt("one")
    times = {path: entry.mtime_ns for path, entry in files.all().items()}
    assert times == {"/a/1.jpg": -1, "/a b/1.jpg": -1, "/a/in/2.jpg": 2, "/a0": 2, "/a/broken.jpg": 2}


def test_contents_and_their_copies(catalog: VaultCatalog) -> None:
    assert all_contents(catalog) == {"one", "two", "three", "four"}
    assert paths_of_copies(catalog) == {"one": ["/a b/1.jpg", "/a/1.jpg"]}
