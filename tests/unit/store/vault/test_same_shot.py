"""Contents of one shot belong together, however often the shot changes places; another shot stays apart."""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.helpers.same_shot import note_same_shot
from twinloop.domain.scanned import ListedFile
from twinloop.domain.vault import FaceKey
from twinloop.errors import StateError
from twinloop.store.pictures.raw_pairs import beside
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.files import FileEntry
from twinloop.store.vault.listing import Found, Listing
from twinloop.store.vault.same_shot import SameShot, SameShotLog

FOLDER = Path("/photos")
RAW, JPEG, EDITED = "r" * 64, "j" * 64, "e" * 64


class Scans:
    """Scans of a folder, by hand: name -> what it holds; a raw photo is beside the JPEG that is there."""

    def __init__(self, root: Path) -> None:
        self.path, self.catalog = root / "same_shot.jsonl", VaultCatalog(None)

    def scan(self, files: Mapping[str, str], sizes: Mapping[str, int] | None = None, killed: bool = False) -> SameShot:
        listed = {}
        for name, content in files.items():
            problem = beside("a.jpg") if name == "a.CR2" and "a.jpg" in files else ""
            entry = FileEntry(FOLDER / name, (sizes or {}).get(name, 1), hash(content) % 1000, content, problem)
            listed[name] = entry if name.endswith(".jpg") else dataclasses.replace(entry, mtime_ns=1)
        listing, log = Listing(self.catalog), SameShotLog(self.path, self.catalog)
        listing.take_listing(Found(ListedFile(e.path, e.size, e.mtime_ns), e.problem) for e in listed.values())
        log.note_before()
        listing.forget_missing([FOLDER], [])
        listing.note_problems()
        if not killed:
            for entry in listed.values():
                if not entry.problem:
                    self.catalog.files.put(entry)
            log.note_now()
        return SameShot.read(self.path)


@pytest.fixture
def scans(tmp_path: Path) -> Scans:
    return Scans(tmp_path)


@pytest.mark.parametrize("killed", [False, True])
def test_a_jpeg_that_comes_and_goes_is_of_the_shot_of_its_raw_photo(scans: Scans, killed: bool) -> None:
    assert scans.scan({"a.CR2": RAW, "b.CR2": "b"}) == SameShot() and not scans.path.exists()
    both = {"a.CR2": RAW, "a.jpg": JPEG, "b.CR2": "b"}
    if killed:
        scans.scan(both, killed=True)
    assert scans.scan(both).of(RAW) == {RAW, JPEG} == scans.scan({"a.CR2": RAW}).of(JPEG)
    assert scans.scan(both).latest == {JPEG} and scans.scan({"a.CR2": RAW}).latest == {RAW}
    size = scans.path.stat().st_size
    assert scans.scan({"a.CR2": RAW}).of("b") == {"b"} and scans.path.stat().st_size == size
    assert stat.S_IMODE(scans.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("killed", [False, True])
def test_a_raw_photo_that_was_never_read_is_of_the_shot_of_the_jpeg_that_goes(scans: Scans, killed: bool) -> None:
    scans.scan({"a.CR2": RAW, "a.jpg": JPEG})
    if killed:
        scans.scan({"a.CR2": RAW}, killed=True)
    assert scans.scan({"a.CR2": RAW}).of(RAW) == {RAW, JPEG}


def test_a_jpeg_that_is_exported_again_is_of_the_same_shot(scans: Scans) -> None:
    scans.scan({"a.CR2": RAW, "a.jpg": JPEG})
    assert scans.scan({"a.CR2": RAW, "a.jpg": EDITED}).of(JPEG) == {JPEG, EDITED}
    assert scans.scan({"a.CR2": RAW}).of(JPEG) == {RAW, JPEG, EDITED}


def test_another_raw_photo_in_its_place_is_another_shot(scans: Scans) -> None:
    scans.scan({"a.CR2": RAW, "a.jpg": JPEG})
    assert scans.scan({"a.CR2": "another"}, {"a.CR2": 2}).of(JPEG) == {JPEG}


def test_shots_that_share_a_content_are_one(tmp_path: Path) -> None:
    path = tmp_path / "same_shot.jsonl"
    for pair in (("a", "b"), ("c", "d"), ("d", "b"), ("e", "f")):
        note_same_shot(path, *pair)
    found = SameShot.read(path)
    assert found.of("a") == {*"abcd"} and found.latest == {*"bdf"} and found.all_of(["e", "x"]) == {*"efx"}


def test_a_face_is_meant_in_every_photo_of_its_shot_and_a_whole_picture_in_the_latest(tmp_path: Path) -> None:
    note_same_shot(tmp_path / "same_shot.jsonl", "a", "b", "c")
    face, found = FaceKey("a", (0.1, 0.1, 0.5, 0.5)), SameShot.read(tmp_path / "same_shot.jsonl")
    assert found.faces_of([face]) == [dataclasses.replace(face, sha256=one) for one in "abc"]
    assert found.faces_of(map(FaceKey.of_whole, "abx")) == [*map(FaceKey.of_whole, "cx")]


def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "same_shot.jsonl"
    path.write_text("nonsense\nnonsense\n")
    with pytest.raises(StateError, match=r"same_shot\.jsonl, line 1 is damaged.*Restore it from a copy"):
        SameShot.read(path)
