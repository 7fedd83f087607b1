"""A scan reads the names that photo programs gave: each content once, a file beside a photo after every change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

import pytest
from PIL import ExifTags, Image

from tests.helpers import xmp
from tests.helpers.raw_files import dng, scene
from twinloop.adapters.scanning.scanners import HereScanner
from twinloop.domain.scanned import ListedFile
from twinloop.domain.vault import FaceKey
from twinloop.ports import SilentReporter
from twinloop.stages.vault.measure import PhotoMeasurer
from twinloop.stages.vault.people import photo_names
from twinloop.stages.vault.people.photo_names import read_names
from twinloop.stages.vault.scan import ScanPlan, scan
from twinloop.store.atomic import sha256_file
from twinloop.store.pictures.face_regions import PhotoName
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.folder import Vault
from twinloop.store.vault.listing import Found, Listing
from twinloop.store.vault.photo_names import PhotoNames

ANNA = PhotoName("Anna", (0.2, 0.3, 0.3, 0.5))
REGION = xmp.packet(xmp.lightroom([("Anna", (0.25, 0.4, 0.1, 0.2))]))


class Home:
    def __init__(self, root: Path) -> None:
        self.photos, self.vault = root / "photos", Vault(root / "vault")
        self.photos.mkdir()

    def photo(self, name: str, colour: str = "red", packet: bytes = b"", orientation: int = 1) -> Path:
        path, exif = self.photos / name, Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        Image.new("RGB", (400, 300), colour).save(path, exif=exif)
        if packet:
            path.write_bytes(xmp.in_jpeg(path.read_bytes(), packet))
        return path

    def scan(self) -> dict[str, list[tuple[str, object]]]:
        """The names by photo after a scan."""
        plan = ScanPlan((self.photos,), (), "fake", 20, "1", "30 s", lambda: nullcontext(HereScanner(PhotoMeasurer())))
        self.named = scan(self.vault, plan, SilentReporter()).named
        return self.names()

    def names(self) -> dict[str, list[tuple[str, object]]]:
        with VaultCatalog(self.vault.catalog, reading=True) as catalog:
            known = PhotoNames(catalog).all()
            paths = {entry.sha256: path for path, entry in catalog.files.all().items()}
        return {
            Path(paths[sha256]).name: [(said.name, said.box and tuple(round(v, 4) for v in said.box)) for said in names]
            for sha256, names in known.items()
        }


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_names_in_photos_turn_with_them(home: Home) -> None:
    home.photo("a.jpg", "red", REGION)
    home.photo("b.jpg", "blue", REGION, orientation=6)
    home.photo("c.jpg", "green")
    assert home.scan() == {"a.jpg": [("Anna", ANNA.box)], "b.jpg": [("Anna", (0.5, 0.2, 0.7, 0.3))]}
    assert home.named == 2


def test_each_content_is_read_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.photo("a.jpg", "red", REGION)
    (home.photos / "copy.jpg").write_bytes((home.photos / "a.jpg").read_bytes())
    read: list[str] = []
    original = photo_names.xmp_packets
    monkeypatch.setattr(photo_names, "xmp_packets", lambda file: read.append(file.name) or original(file))
    home.scan()
    (home.photos / "copy.jpg").rename(home.photos / "moved.jpg")
    home.scan()
    assert len(read) == 1
    monkeypatch.setattr(photo_names, "VERSION", "another")
    home.scan()
    assert len(read) == 2


def test_a_file_beside_a_photo_is_noticed_whenever_it_changes(home: Home) -> None:
    home.photo("a.jpg")
    assert home.scan() == {} and home.named == 0
    beside = home.photos / "a.jpg.xmp"
    beside.write_bytes(REGION)
    assert home.scan() == home.scan() == {"a.jpg": [("Anna", ANNA.box)]}
    beside.write_bytes(xmp.packet(xmp.keywords(["Ben"])))
    assert home.scan() == {"a.jpg": [("Ben", None)]}
    (home.photos / "a.jpg.json").write_text(json.dumps({"people": [{"name": "Cid"}]}))
    assert home.scan() == {"a.jpg": [("Ben", None), ("Cid", None)]}
    beside.unlink()
    assert home.scan() == {"a.jpg": [("Cid", None)]}
    (home.photos / "a.jpg").unlink()
    home.photo("z.jpg", "blue")
    assert home.scan() == {}


def test_names_stay_while_a_file_beside_a_photo_cannot_be_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.photo("a.jpg")
    beside = home.photos / "a.jpg.json"
    beside.write_text(json.dumps({"people": [{"name": "Cid"}]}))
    assert home.scan() == {"a.jpg": [("Cid", None)]}
    beside.write_text(json.dumps({"people": [{"name": "Dora"}]}))
    with monkeypatch.context() as patch:
        patch.setattr(photo_names, "contents", lambda path: None)
        assert home.scan() == {"a.jpg": [("Cid", None)]}
    assert home.scan() == {"a.jpg": [("Dora", None)]}, "the next scan reads it"


def test_files_beside_photos_of_a_folder_that_was_taken_out_are_dropped(home: Home) -> None:
    home.photo("a.jpg")
    (home.photos / "a.xmp").write_bytes(REGION)
    home.scan()
    plan = ScanPlan((), (home.photos,), "fake", 20, "1", "30 s", lambda: nullcontext(HereScanner(PhotoMeasurer())))
    scan(home.vault, plan, SilentReporter())
    with VaultCatalog(home.vault.catalog, reading=True) as catalog:
        for table in ("named_source", "named"):
            assert catalog.run(f"SELECT count(*) FROM {table} WHERE instr(source, x'00')") == [(0,)], table


def test_a_file_beside_a_photo_turns_with_it(home: Home) -> None:
    home.photo("a.jpg", orientation=8)
    (home.photos / "a.xmp").write_bytes(REGION)
    assert home.scan() == {"a.jpg": [("Anna", (0.3, 0.7, 0.5, 0.8))]}


def test_a_file_beside_a_raw_photo_turns_with_it(home: Home) -> None:
    (home.photos / "a.orf").write_bytes(b"IIRO" + dng(scene(400, 300), 6)[4:])
    (home.photos / "a.xmp").write_bytes(REGION)
    assert home.scan() == {"a.orf": [("Anna", (0.5, 0.2, 0.7, 0.3))]}


@pytest.mark.parametrize("bad", [b"", b"<x", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", b"<a>" * 20_000])
def test_a_bad_packet_never_stops_a_scan(home: Home, bad: bytes) -> None:
    home.photo("a.jpg", "red", bad or b"\0")
    (home.photos / "a.xmp").write_bytes(bad)
    (home.photos / "a.jpg.json").write_bytes(b"[" * 100_000)
    assert home.scan() == {} and home.named == 0


def test_a_photo_that_takes_all_memory_never_stops_a_scan(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.photo("a.jpg", "red", REGION)
    home.photo("b.jpg", "blue", REGION)
    original, read = photo_names.xmp_packets, []

    def short_of_memory(file: BinaryIO) -> Iterator[bytes]:
        read.append(file)
        if len(read) == 1:
            raise MemoryError
        return original(file)

    monkeypatch.setattr(photo_names, "xmp_packets", short_of_memory)
    assert list(home.scan()) == ["b.jpg"]


def test_a_catalogue_from_before_names_is_filled_by_the_next_scan(home: Home) -> None:
    home.photo("a.jpg", "red", REGION)
    home.scan()
    with VaultCatalog(home.vault.catalog) as catalog:
        for table in ("named", "named_source"):
            catalog.run(f"DROP TABLE {table}")
    assert home.names() == {}
    assert home.scan() == {"a.jpg": [("Anna", ANNA.box)]}


def test_names_of_a_folder_that_is_away_are_kept(home: Home, tmp_path: Path) -> None:
    home.photo("a.jpg")
    (home.photos / "a.xmp").write_bytes(REGION)
    home.scan()
    home.photos.rename(tmp_path / "unplugged")
    plan = ScanPlan((), (), "fake", 20, "1", "30 s", lambda: nullcontext(HereScanner(PhotoMeasurer())))
    scan(home.vault, plan, SilentReporter())
    assert home.names() == {"a.jpg": [("Anna", ANNA.box)]}


def test_names_of_forgotten_faces_are_not_read_again(home: Home) -> None:
    regions = [("Anna", (0.25, 0.4, 0.1, 0.2)), ("Ben", (0.7, 0.5, 0.2, 0.2))]
    path = home.photo("a.jpg", "red", xmp.packet(xmp.lightroom(regions) + xmp.keywords(["Anna", "Eve"])))
    home.scan()
    sha256 = sha256_file(path)

    def read(forgotten: Mapping[str, Sequence[FaceKey]]) -> list[str]:
        with VaultCatalog(home.vault.catalog) as catalog:
            catalog.run("DELETE FROM named_source")
            seen = path.stat()
            listed = ListedFile(path, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
            Listing(catalog).take_listing([Found(listed)])
            read_names(catalog, forgotten, lambda name: False, SilentReporter())
            return sorted(said.name for said in PhotoNames(catalog).all().get(sha256, []))

    assert read({}) == ["Anna", "Anna", "Ben", "Eve"]
    assert read({sha256: [FaceKey(sha256, ANNA.box or (0, 0, 1, 1))]}) == ["Ben"]
    assert read({sha256: [FaceKey.of_whole(sha256)]}) == []


def test_forgetting_drops_the_name_everywhere(home: Home) -> None:
    one = home.photo("a.jpg", "red", xmp.packet(xmp.lightroom([("Anna", (0.25, 0.4, 0.1, 0.2))])))
    home.photo("b.jpg", "blue", xmp.packet(xmp.keywords(["ANNA", "Ben"])))
    home.scan()
    sha256 = sha256_file(one)
    with VaultCatalog(home.vault.catalog) as catalog:
        PhotoNames(catalog).forget([FaceKey(sha256, (0.2, 0.3, 0.3, 0.5))], ["Anna"])
        catalog.leave_nothing()
    assert home.names() == {"b.jpg": [("Ben", None)]}
    assert b"anna" not in home.vault.catalog.read_bytes().lower()
    assert home.scan() == {"b.jpg": [("Ben", None)]}
