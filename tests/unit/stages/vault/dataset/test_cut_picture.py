"""The photo behind a cut: from whichever of its files still holds it, and looked at again where none does."""

from __future__ import annotations

from pathlib import Path

from tests.unit.stages.vault.dataset.preparing import prepare
from tests.unit.stages.vault.makers import fake_vault
from twinloop.domain.scanned import ListedFile
from twinloop.store.vault.files import FileEntry
from twinloop.store.vault.listing import Found, Listing


def listed(path: Path) -> Found:
    stat = path.stat()
    return Found(ListedFile(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))


def test_a_copy_elsewhere_serves_where_the_first_file_was_changed(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 4) as (opened, person):
        first, second = tmp_path / "photos/IMG_0000.png", tmp_path / "photos/IMG_0001.png"
        for path, name in ((first, "of the first.png"), (second, "of the second.png")):
            copy = tmp_path / "photos" / name
            copy.write_bytes(path.read_bytes())
            known = opened.catalog.files.at(path)
            assert known is not None
            opened.catalog.files.put(FileEntry(copy, 1, 1, known.sha256))
        first.write_bytes((tmp_path / "photos/IMG_0002.png").read_bytes())
        second.write_bytes(b"damaged")
        found = prepare(opened, person)
        assert len(found.files) == 4 and found.left_out == ()


def test_a_photo_that_is_not_what_was_scanned_is_read_again_by_the_next_scan(tmp_path: Path) -> None:
    """Also where nothing in its stat tells: `scan again` must be advice that helps."""
    with fake_vault(tmp_path, 4) as (opened, person):
        path = tmp_path / "photos/IMG_0000.png"
        known = opened.catalog.files.at(path)
        assert known is not None
        path.write_bytes((tmp_path / "photos/IMG_0001.png").read_bytes())
        stat = path.stat()
        opened.catalog.files.put(
            FileEntry(path, stat.st_size, stat.st_mtime_ns, known.sha256, ctime_ns=stat.st_ctime_ns)
        )
        listing = Listing(opened.catalog)
        listing.take_listing([listed(path)])
        assert listing.plan(opened.fingerprint, "") == 0
        found = prepare(opened, person)
        assert [(Path(item.photo.paths[0]).name, item.reason) for item in found.left_out] == [
            ("IMG_0000.png", "was changed since the scan; scan again")
        ]
        listing.take_listing([listed(path)])
        assert listing.plan(opened.fingerprint, "") == 1
