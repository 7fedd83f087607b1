"""A scan brings the vault up to date with its folders: each content is measured once, and originals are only read."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.fake_photos import fake_photo
from tests.helpers.raw_files import dng, scene
from tests.helpers.tiff_files import RGB, greys, tiff
from tests.unit.stages.vault.scan_home import Home, Watched, home_in
from twinloop.adapters.fakes import fake_pack
from twinloop.cli.vault.status import lines_of
from twinloop.domain.scanned import ListedFile, ScannedFile
from twinloop.errors import InputError, MissingModel, NothingToDo, StateError, StorageError
from twinloop.ports import Scanner, Wanted
from twinloop.stages.vault.measure import PhotoMeasurer
from twinloop.stages.vault.opened import ScanRecord
from twinloop.stages.vault.opening import looked_into, open_vault
from twinloop.stages.vault.people.cluster import ClusterOptions, cluster
from twinloop.stages.vault.scan import Scanned, ScanPlan, scan
from twinloop.stages.vault.status import status
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.decisions import DecisionLog
from twinloop.store.vault.folder import Vault
from twinloop.store.vault.forget import forget_faces
from twinloop.system import shell


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_in(tmp_path)


def rows(vault: Vault, without_stat: bool = True) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the catalogue, in a fixed order."""
    with sqlite3.connect(vault.catalog) as db:
        columns = "path, sha256, problem" if without_stat else "*"
        return {
            "file": db.execute(f"SELECT {columns} FROM file ORDER BY path").fetchall(),
            **{table: db.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in ("photo", "face")},
        }


def listing(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_first_scan_measures_every_photo_and_touches_none(home: Home) -> None:
    before = listing(home.photos)
    done = home.scan(home.photos)
    assert (done.measured, done.unchanged, done.counts.photos, done.counts.faces) == (4, 0, 4, 4)
    assert listing(home.photos) == before
    with VaultCatalog(home.vault.catalog) as catalog:
        photo = next(catalog.photos(done.fingerprint))
        thumbnail = catalog.thumbnail(photo.sha256)
    assert photo.paths[0].startswith(str(home.photos)) and photo.faces[0].face.embedding is not None
    assert thumbnail is not None and thumbnail.startswith(b"\xff\xd8")
    assert home.reporter.steps == [(n, 4) for n in range(1, 5)]


def test_a_new_vault_is_for_its_owner_only(home: Home) -> None:
    home.scan(home.photos)
    assert {
        path.name: oct(path.stat().st_mode & 0o777)
        for path in (home.vault.root, home.vault.catalog, home.vault.scan_record)
    } == {
        "vault": "0o700",
        "catalog.sqlite": "0o600",
        "scan.json": "0o600",
    }


def test_a_second_scan_opens_no_file_and_no_model(home: Home) -> None:
    home.scan(home.photos)
    before = rows(home.vault, without_stat=False)
    done = home.scan()
    assert (done.measured, done.unchanged, home.models, home.opened) == (0, 4, 1, [])
    assert rows(home.vault, without_stat=False) == before


def test_a_file_that_is_moved_or_copied_is_recognised(home: Home) -> None:
    home.scan(home.photos)
    (home.photos / "0.png").rename(home.photos / "new name.png")
    shutil.copy(home.photos / "1.png", home.photos / "copy.png")
    done = home.scan()
    assert (done.measured, done.recognised, done.unchanged, done.gone, home.opened) == (0, 2, 3, 1, [])
    with VaultCatalog(home.vault.catalog) as catalog:
        names = sorted(tuple(Path(path).name for path in photo.paths) for photo in catalog.photos(done.fingerprint))
    assert names == [("1.png", "copy.png"), ("2.png",), ("3.png",), ("new name.png",)]


def test_copies_within_one_scan_are_measured_once(home: Home) -> None:
    for number in range(3):
        shutil.copy(home.photos / "0.png", home.photos / f"copy {number}.png")
    done = home.scan(home.photos)
    assert (done.measured, done.recognised, len(home.opened)) == (4, 3, 4)


def test_a_changed_file_is_measured_again(home: Home) -> None:
    home.scan(home.photos)
    fake_photo(home.photos / "0.png", seed=77, size=128)
    assert (home.scan().measured, len(home.opened)) == (1, 1)


def test_a_changed_file_about_which_something_was_decided_is_told(home: Home) -> None:
    for number in range(3):
        fake_photo(home.photos / f"ana{number}.png", seed=10 + number, size=256, person=1)
    home.scan(home.photos)
    with open_vault(home.vault.root) as opened:
        people = cluster(opened, ClusterOptions(), lambda: pytest.fail("no index"), home.reporter).people
        other = opened.catalog.files.at(home.photos / "0.png")
    (person,) = people.persons
    assert other is not None and other.sha256 not in {key.sha256 for key in person.faces}
    count = len(person.faces)
    originals = {path: path.read_bytes() for path in home.photos.iterdir()}

    def touch_all() -> list[str]:
        """As a program does that writes metadata into the files."""
        home.reporter.warnings.clear()
        for path, data in originals.items():
            path.write_bytes(data + b"metadata")
        home.scan()
        found = list(home.reporter.warnings)
        for path, data in originals.items():
            path.write_bytes(data)
        home.scan()
        assert home.reporter.warnings == found, "what is as it was needs no warning"
        return found

    assert touch_all() == [], "nothing was said"
    log = DecisionLog(home.vault.decisions)
    log.add("exclude", {"person": "p009", "photos": [other.sha256]})
    (told,) = touch_all()
    assert told.startswith("1 photo about which you had decided something has changed: 0.png. Names, labels")
    assert "sidecar files (.xmp)" in told and "twinloop vault history" in told
    log.add("name", {"person": person.id, "name": "ana"})
    (told,) = touch_all()
    assert told.startswith(f"{count + 1} photos about which you had decided something have changed: 0.png, ")
    shutil.copy(home.photos / "0.png", home.photos / "copy.png")
    (told,) = touch_all()
    assert told.startswith(f"{count} photos"), "a copy still holds what was decided about"


def test_a_photo_that_took_the_place_of_one_with_the_same_size_and_time_is_measured(home: Home) -> None:
    """As `cp -p`, an archive, or a program that sets the time back leaves it."""
    first, second = home.photos / "0.png", home.photos / "1.png"
    size = max(first.stat().st_size, second.stat().st_size)
    other = second.read_bytes().ljust(size + 1, b"\0")
    first.write_bytes(first.read_bytes().ljust(size + 1, b"\0"))
    home.scan(home.photos)
    before = first.stat()
    time.sleep(0.02)  # longer than a file system's clock ticks
    (home.root / "new.png").write_bytes(other)
    os.utime(home.root / "new.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    (home.root / "new.png").replace(first)
    assert (first.stat().st_size, first.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert home.scan().measured == 1


def test_a_file_that_is_doubted_is_read_again(home: Home) -> None:
    home.scan(home.photos)
    with VaultCatalog(home.vault.catalog) as catalog:
        known = catalog.files.at(home.photos / "0.png")
        assert known is not None and known.sha256 is not None
        catalog.files.doubt(known.sha256)
    done = home.scan()
    assert (done.recognised, done.unchanged) == (1, 3) and home.scan().unchanged == 4


def test_a_vanished_file_is_forgotten_and_its_measures_are_kept(home: Home) -> None:
    home.scan(home.photos)
    moved = home.root / "0.png"
    (home.photos / "0.png").rename(moved)
    assert (home.scan().gone, home.scan().counts.photos) == (1, 3)
    moved.rename(home.photos / "back.png")
    done = home.scan()
    assert (done.measured, done.recognised, done.counts.photos) == (0, 1, 4)


def test_other_models_measure_everything_again_and_the_first_ones_are_remembered(home: Home) -> None:
    first = home.scan(home.photos)
    second = home.scan(stamp="models 2")
    assert (second.measured, second.unchanged) == (4, 0) and second.fingerprint != first.fingerprint
    (said,) = home.reporter.lines
    assert "made with other models or an older version of this program: 4 photos to measure anew" in said
    assert "compared with nothing" in said
    back = home.scan(stamp="models 1")
    assert (back.measured, back.unchanged, back.fingerprint) == (0, 4, first.fingerprint)
    assert len(home.reporter.lines) == 1, "nothing is to be measured"


def test_another_smallest_face_is_another_measure(home: Home) -> None:
    home.scan(home.photos, min_face=20)
    done = home.scan(min_face=90)
    assert (done.measured, done.counts.faces) == (4, 0)
    (said,) = home.reporter.lines
    assert said.startswith("The last scan was made with another smallest face (20 pixels, now 90): 4 photos to measure")


def test_folders_add_up_overlap_and_can_be_removed(home: Home) -> None:
    inner = home.photos / "inner"
    inner.mkdir()
    fake_photo(inner / "a.png", seed=50, size=128)
    other = home.root / "other"
    other.mkdir()
    fake_photo(other / "b.png", seed=51, size=128)
    assert home.scan(home.photos, inner).counts.files == 5
    assert home.scan(other).counts.files == 6
    done = home.scan(remove=[home.photos])
    assert done.folders == (str(inner), str(other)) and (done.counts.files, done.gone) == (2, 4)
    with pytest.raises(InputError, match="not one of the vault's folders"):
        home.scan(remove=[home.photos])


def test_a_single_file_can_be_scanned(home: Home) -> None:
    assert home.scan(home.photos / "2.png").counts.files == 1


def test_no_folder_and_a_wrong_folder_are_told(home: Home) -> None:
    with pytest.raises(NothingToDo, match="Which folder"):
        home.scan()
    with pytest.raises(InputError, match="Folder not found"):
        home.scan(home.root / "nowhere")
    assert not home.vault.scan_record.exists()


def test_a_disk_that_is_not_there_loses_nothing(home: Home) -> None:
    home.scan(home.photos)
    home.photos.rename(home.root / "unplugged")
    done = home.scan()
    assert done.away == (str(home.photos),) and (done.gone, done.counts.photos) == (0, 4)
    (warning,) = home.reporter.warnings
    assert "kept" in warning and "seems" not in warning
    command = home.vault.command(f"scan --remove {shell.quote(str(home.photos))}")
    assert warning.endswith(f"To take it out: {command}")


@pytest.mark.parametrize("linked", [False, True])
def test_the_empty_place_of_a_disk_that_is_not_there_loses_nothing(home: Home, linked: bool) -> None:
    root = home.photos
    if linked:
        root = home.root / "link"
        root.symlink_to(home.photos)
    home.scan(root)
    home.photos.rename(home.root / "unplugged")
    home.photos.mkdir()
    done = home.scan()
    assert done.away == (str(root),) and (done.gone, done.counts.photos) == (0, 4)
    command = home.vault.command(f"scan --remove {shell.quote(str(root))}")
    assert home.reporter.warnings == [
        f"{root} (now an empty folder) is not there; what is known of it is kept. To take it out: {command}"
    ]
    with looked_into(home.vault.root) as opened:
        told = status(opened)
    assert told.missing == (str(root),) and told.files_missing == 4
    home.photos.rmdir()
    (home.root / "unplugged").rename(home.photos)
    assert (home.scan().unchanged, home.scan().away) == (4, ())


def test_photos_that_were_moved_into_another_scanned_folder_leave_nothing_behind(home: Home) -> None:
    other = home.root / "other"
    other.mkdir()
    fake_photo(other / "own.png", seed=9, size=128)
    home.scan(home.photos, other)
    for photo in home.photos.iterdir():
        photo.rename(other / photo.name)
    done = home.scan()
    assert (done.away, done.gone, done.recognised, done.unchanged, done.counts.files) == ((), 4, 4, 1, 5)
    assert home.reporter.warnings == [] and done.folders == (str(home.photos), str(other))
    with looked_into(home.vault.root) as opened:
        assert status(opened).missing == ()


@pytest.mark.parametrize("lacking", ["one photo", "the other folder"])
def test_an_empty_folder_of_which_not_every_photo_is_elsewhere_is_away(home: Home, lacking: str) -> None:
    other = home.root / "other"
    shutil.copytree(home.photos, other)
    home.scan(home.photos, other)
    home.photos.rename(home.root / "unplugged")
    home.photos.mkdir()
    if lacking == "one photo":
        (other / "0.png").unlink()
    else:
        other.rename(home.root / "unplugged as well")
    done = home.scan()
    assert str(home.photos) in done.away and done.counts.photos == 4


def test_an_empty_folder_that_never_held_photos_is_there(home: Home) -> None:
    empty = home.root / "empty"
    empty.mkdir()
    assert home.scan(home.photos, empty).away == ()


def test_a_renamed_folder_is_told_with_its_new_name(home: Home) -> None:
    inner = home.photos / "2019"
    inner.mkdir()
    fake_photo(inner / "a.png", seed=9, size=128)
    home.scan(home.photos)
    new = home.photos.rename(home.root / "My photos")
    with looked_into(home.vault.root) as opened:
        told = status(opened)
    assert (told.missing, told.renamed, told.files_missing) == ((str(home.photos),), {}, 5)
    assert lines_of(told, home.vault)[0] == f"folder: {home.photos} (not there now)"
    home.scan(new)
    assert f"{home.photos} seems to have been renamed to {new}: " in home.reporter.warnings[-1]
    with looked_into(home.vault.root) as opened:
        told = status(opened)
    assert told.renamed == {str(home.photos): str(new)} and told.to_json()["missing"] == [str(home.photos)]
    lines = lines_of(told, home.vault)
    assert f"renamed to {new}; then: {home.vault.command(f'scan --remove {home.photos}')}" in lines[0]
    assert "10 files; skipped: 0 files; not there now: 5 files" in "\n".join(lines)
    (new / "0.png").unlink()
    home.scan()
    assert "seems" not in home.reporter.warnings[-1], "not all of it is there"


def test_patterns_are_remembered_until_they_are_forgotten(home: Home) -> None:
    (home.photos / "raw").mkdir()
    fake_photo(home.photos / "raw" / "a.png", seed=9, size=128)
    (home.photos / "@eaDir").mkdir()
    fake_photo(home.photos / "@eaDir" / "b.png", seed=8, size=128)
    first = home.scan(home.photos)
    assert (first.counts.photos, first.passed_over, first.excluded) == (5, {"@eaDir": 1}, {})
    done = home.scan(exclude=["raw", "3.*"])
    assert (done.counts.photos, done.gone, done.excluded) == (3, 2, {"raw": 1, "3.*": 1})
    assert ScanRecord.read(home.vault).exclude == ("raw", "3.*")
    assert home.scan(exclude=["none"]).excluded == {"raw": 1, "3.*": 1, "none": 0}
    with looked_into(home.vault.root) as opened:
        told = status(opened)
    assert told.exclude == ("raw", "3.*", "none") and "excluded: raw, 3.*, none" in lines_of(told, home.vault)[1]
    again = home.scan(exclude=["raw"], only_these=True)
    assert (again.counts.photos, again.excluded, again.to_json()["passed_over"]) == (4, {"raw": 1}, {"@eaDir": 1})
    assert home.scan(only_these=True).counts.photos == 5 and ScanRecord.read(home.vault).exclude == ()


def test_a_pattern_of_a_scanned_folder_itself_is_refused(home: Home) -> None:
    folder = str(home.photos)
    with pytest.raises(InputError, match=r"itself; .* Do not name this folder\."):
        home.scan(home.photos, exclude=[f"{folder}/**"])
    home.scan(home.photos)
    for pattern in (f"{folder}/**", folder, f"{folder}/", f"{home.root}/**", f"{home.root}/pho*/**"):
        with pytest.raises(InputError, match=f"To take it out: .*scan --remove {folder} "):
            home.scan(exclude=["raw", pattern])
    assert ScanRecord.read(home.vault).exclude == ()
    assert home.scan(remove=[home.photos], exclude=[folder]).counts.files == 0
    home.scan(home.root, home.photos, only_these=True)
    assert home.scan(exclude=[f"{home.root}/p*/**"]).excluded == {f"{home.root}/p*/**": 1}, "of what lies below another"


def test_a_folder_of_which_everything_is_passed_over_is_told_why(home: Home) -> None:
    with pytest.raises(NothingToDo, match=r"Passed over: 4 by --exclude '\*\.png'\."):
        home.scan(home.photos, exclude=["*.png"])


def test_a_video_that_was_named_gets_the_command_for_videos(home: Home) -> None:
    clip = home.root / "my clip.mp4"
    clip.write_bytes(b"\0\0\0\x18ftypmp42")
    with pytest.raises(InputError, match="as a photo it cannot be used") as refused:
        home.scan(clip)
    assert str(refused.value).endswith(f"twinloop vault frames {shell.quote(str(clip))} --output FOLDER")


def test_a_link_to_a_disk_that_is_not_there_loses_nothing(home: Home) -> None:
    link = home.root / "link"
    link.symlink_to(home.photos)
    home.scan(link)
    home.photos.rename(home.root / "unplugged")
    done = home.scan()
    assert done.away == (str(link),) and (done.gone, done.counts.photos, done.skipped) == (0, 4, ())
    with pytest.raises(InputError, match="Folder not found"):
        home.scan(link)


def test_what_is_away_below_a_folder_that_is_there_is_kept(home: Home) -> None:
    disk, mount = home.root / "disk", home.photos / "usb"
    disk.mkdir()
    fake_photo(disk / "a.png", seed=50, size=128)
    mount.symlink_to(disk)
    home.scan(home.photos, mount)
    disk.rename(home.root / "unplugged")
    done = home.scan()
    assert done.away == (str(mount),) and (done.gone, done.counts.photos) == (0, 5)


@pytest.mark.parametrize("named", ["usb/deep", "usb/deep/a.png", "link.png"])
def test_what_is_away_behind_a_link_in_a_folder_that_is_there_is_kept(home: Home, named: str) -> None:
    disk = home.root / "disk"
    (disk / "deep").mkdir(parents=True)
    fake_photo(disk / "deep/a.png", seed=50, size=128)
    (home.photos / "usb").symlink_to(disk)
    (home.photos / "link.png").symlink_to(disk / "deep/a.png")
    home.scan(home.photos / named, home.photos)

    def known() -> list[tuple[object, ...]]:
        place = str(os.fsencode(home.photos / named))[:-1]
        return [row for row in rows(home.vault)["file"] if str(row[0]).startswith(place)]

    (before,) = known()
    assert before[2] == ""
    for unplug in (lambda: disk.rename(home.root / "unplugged"), disk.mkdir):  # and the empty place where it is mounted
        unplug()
        done = home.scan()
        assert done.away == (str(home.photos / named),) and known() == [before]


@pytest.mark.parametrize("named", ["inner", "inner/deep", "inner/deep/a.png"])
def test_what_was_moved_or_deleted_within_a_folder_that_is_there_is_gone(home: Home, named: str) -> None:
    deep = home.photos / "inner/deep"
    deep.mkdir(parents=True)
    fake_photo(deep / "a.png", seed=50, size=128)
    home.scan(home.photos / named, home.photos)
    (home.photos / "inner").rename(home.photos / "other")
    done = home.scan()
    assert (done.away, done.gone, done.recognised, done.counts.files) == ((), 1, 1, 5) and not home.reporter.warnings
    shutil.rmtree(home.photos / "other")
    assert (home.scan().gone, home.scan().counts.files) == (1, 4)


def test_of_many_files_that_are_away_some_are_named(home: Home) -> None:
    files = sorted(home.photos.iterdir())
    home.scan(*files)
    home.photos.rename(home.root / "unplugged")
    done = home.scan()
    assert done.away == tuple(map(str, files)) and (done.gone, done.counts.photos) == (0, 4)
    (warning,) = home.reporter.warnings
    assert f"{files[2]} and 1 more are not there; what is known of them is kept" in warning


def test_a_folder_that_may_not_be_entered_loses_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = home.photos / "inner"
    inner.mkdir()
    fake_photo(inner / "a.png", seed=50, size=128)
    home.scan(home.photos)
    real = os.scandir

    def refusing(path: str) -> object:
        if os.fspath(path) == str(inner):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    done = home.scan()
    assert (done.gone, done.counts.files) == (0, 5)
    assert home.skipped(done) == {"inner": "this folder cannot be looked into: Permission denied"}
    monkeypatch.undo()
    assert home.scan().skipped == ()


def test_an_interrupted_scan_keeps_what_it_did_and_ends_as_an_undisturbed_one(home: Home, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        home.scan(home.photos, stop_after=2)
    assert len(rows(home.vault)["photo"]) == 2
    done = home.scan(home.photos)
    assert (done.measured, done.unchanged) == (2, 2)
    other = Home(tmp_path / "undisturbed")
    shutil.copytree(home.photos, tmp_path / "other")
    plain = other.scan(home.photos)
    assert rows(other.vault) == rows(home.vault) and plain.fingerprint == done.fingerprint


def test_an_interrupted_first_scan_knows_its_folders(home: Home) -> None:
    with pytest.raises(KeyboardInterrupt):
        home.scan(home.photos, stop_after=2)
    with looked_into(home.vault.root) as opened:
        found = status(opened)
    assert (found.folders, found.unfinished, found.counts.photos) == ((str(home.photos),), True, 2)
    assert "scan: not finished" in "\n".join(lines_of(found, home.vault))
    done = home.scan()
    assert (done.measured, done.unchanged, done.folders) == (2, 2, (str(home.photos),))
    with looked_into(home.vault.root) as opened:
        assert not status(opened).unfinished


def test_an_interrupted_scan_with_other_models_leaves_what_the_last_one_was_made_with(home: Home) -> None:
    first = home.scan(home.photos)
    other = home.root / "other"
    other.mkdir()
    fake_photo(other / "b.png", seed=51, size=128)
    with pytest.raises(KeyboardInterrupt):
        home.scan(other, stamp="models 2", min_face=30, stop_after=1)
    record = ScanRecord.read(home.vault)
    assert (record.fingerprint, record.stamp, record.unfinished) == (first.fingerprint, "models 1", True)
    assert record.folders == (str(home.photos), str(other))
    assert (record.models_dir, record.min_face, record.begun_min_face) == ("fake", 20, 30)
    done = home.scan(stamp="models 2", min_face=30)
    assert (done.measured, done.unchanged) == (4, 1)
    finished = ScanRecord.read(home.vault)
    assert (finished.unfinished, finished.min_face, finished.begun_models, finished.begun_min_face) == (
        False,
        30,
        "",
        0,
    )


def test_a_first_scan_whose_models_cannot_be_opened_leaves_no_record(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise MissingModel("no detector here")

    monkeypatch.setattr(Watched, "__init__", missing)
    with pytest.raises(MissingModel):
        home.scan(home.photos)
    assert not home.vault.scan_record.exists()


def test_the_vault_itself_is_never_scanned(home: Home) -> None:
    inside = Home(home.root)
    organized = home.vault.root / "organized" / "ana"
    organized.mkdir(parents=True)
    fake_photo(organized / "made.png", seed=9, size=128)
    assert inside.scan(home.root).counts.files == 4


def test_what_cannot_be_a_photo_is_skipped_by_name_with_the_reason(home: Home) -> None:
    folder = home.photos
    (folder / "empty.jpg").touch()
    (folder / "page.jpg").write_text("<!DOCTYPE html><html><body>not found</body></html>")
    (folder / "drawing.eps").write_text("%!PS")
    (folder / "lying.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0")
    (folder / "cut.jpg").write_bytes(jpeg()[:2000])
    (folder / "broken link.jpg").symlink_to(folder / "nothing.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "link.png").symlink_to(folder / "0.png")
    (folder / "album.jpg").symlink_to(home.root)
    (folder / "notes.txt").write_text("hello")
    (folder / ".hidden.jpg").write_bytes(b"x")
    os.mkfifo(folder / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s.jpg"))
    done = home.scan(folder)
    assert done.counts.photos == 4 and done.ignored == {".txt": 1}
    reasons = home.skipped(done)
    assert set(reasons) == {
        "empty.jpg",
        "page.jpg",
        "drawing.eps",
        "lying.jpg",
        "cut.jpg",
        "broken link.jpg",
        "loop.jpg",
        "link.png",
        "album.jpg",
        "pipe.jpg",
        "s.jpg",
    }
    for name, words in {
        "empty.jpg": "is empty",
        "page.jpg": "web page",
        "drawing.eps": "never opened",
        "lying.jpg": "PostScript",
        "cut.jpg": "truncated",
        "broken link.jpg": "a link to nothing",
        "loop.jpg": "or to itself",
        "link.png": "scanned itself",
        "album.jpg": "link to a folder",
        "pipe.jpg": "a FIFO",
        "s.jpg": "a socket",
    }.items():
        assert words in reasons[name], (name, reasons[name])


def test_a_link_to_a_file_elsewhere_is_followed(home: Home) -> None:
    elsewhere = home.root / "store.png"
    fake_photo(elsewhere, seed=40, size=128)
    (home.photos / "linked.png").symlink_to(elsewhere)
    done = home.scan(home.photos)
    assert (done.counts.files, done.skipped) == (5, ())


def test_a_jpeg_under_the_name_of_a_png_is_a_photo(home: Home) -> None:
    (home.photos / "jpeg.png").write_bytes(jpeg())
    assert home.scan(home.photos).counts.photos == 5


def odd_names() -> list[bytes]:
    return [
        b"new\nline.png",
        b"b\xff\xfebytes.png",
        b"Case.png",
        b"case.png",
        b"x" * 250 + b".png",
        "\u202etxt.png".encode(),
        b"'; DROP TABLE file; --.png",
        b"%s.png",
    ]


def test_odd_names_are_kept_as_they_are(home: Home) -> None:
    for number, name in enumerate(odd_names()):
        fake_photo(home.root / "plain.png", seed=60 + number, size=128)
        (home.root / "plain.png").rename(home.photos / os.fsdecode(name))
    done = home.scan(home.photos)
    assert (done.counts.photos, done.skipped) == (4 + len(odd_names()), ())
    with VaultCatalog(home.vault.catalog) as catalog:
        known = {os.fsencode(Path(path).name) for path in catalog.files.all()}
    assert known >= set(odd_names())
    assert home.scan().unchanged == 4 + len(odd_names())


def test_a_broken_file_is_not_tried_again_until_something_changes(home: Home) -> None:
    bad = home.photos / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff nothing")
    home.scan(home.photos)
    done = home.scan()
    assert (done.unchanged, home.models) == (4, 1) and len(done.skipped) == 1
    assert home.scan(limits="60 s").unchanged == 4
    bad.write_bytes(jpeg())
    done = home.scan(limits="60 s")
    assert (done.measured, done.skipped) == (1, ())


def test_a_file_of_a_kind_that_is_read_now_is_tried_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr("twinloop.store.pictures.images.open_wide", lambda *_: None)
        earlier.setattr("twinloop.store.pictures.images.READS", "reads-1")
        (home.photos / "wide.tif").write_bytes(tiff(np.dstack([greys()] * 3).astype(np.float32), RGB, 32, numbers=3))
        skipped = home.skipped(home.scan(home.photos))
    assert "a TIFF of 32-bit floating-point RGB" in skipped["wide.tif"]
    assert home.scan().skipped == ()


@pytest.mark.parametrize("undecided", [True, False])
def test_a_file_whose_process_failed_is_tried_by_the_next_scan(
    home: Home, monkeypatch: pytest.MonkeyPatch, undecided: bool
) -> None:
    """Unless the decoder itself has said that it is broken."""
    real = PhotoMeasurer.scan

    def failing(self: PhotoMeasurer, listed: ListedFile, wanted: Callable[[str], bool]) -> ScannedFile:
        made = real(self, listed, wanted)
        if listed.path.name != "0.png":
            return made
        return ScannedFile(made.listed, made.sha256, problem="took longer than 30 s", undecided=undecided)

    monkeypatch.setattr(PhotoMeasurer, "scan", failing)
    assert home.skipped(home.scan(home.photos)) == {"0.png": "took longer than 30 s"}
    monkeypatch.undo()
    done = home.scan()
    assert (done.measured, len(done.skipped)) == ((1, 0) if undecided else (0, 1))


def test_a_file_that_could_not_be_read_is_tried_every_time(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_to_open(monkeypatch, home.photos / "0.png")
    done = home.scan(home.photos)
    assert home.skipped(done) == {"0.png": "cannot be read: Permission denied"}
    monkeypatch.undo()
    done = home.scan()
    assert (done.measured, done.skipped) == (1, ())


def refuse_to_open(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Permissions mean nothing to root, who may run these tests."""
    real: Callable[..., int] = os.open

    def refusing(name: str, *args: int, **more: int) -> int:
        if os.fspath(name) == str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(name, *args, **more)

    monkeypatch.setattr(os, "open", refusing)


def test_forgotten_faces_do_not_come_back_with_other_models(home: Home) -> None:
    first = home.scan(home.photos)
    with VaultCatalog(home.vault.catalog) as catalog:
        photo = next(catalog.photos(first.fingerprint))
    said = {"person": "p001", "faces": [photo.key(0).to_json()], "kept": True}
    DecisionLog(home.vault.decisions).add("forget", said)
    done = home.scan(stamp="models 2")
    assert (done.measured, done.counts.faces) == (4, 3)
    with VaultCatalog(home.vault.catalog) as catalog:
        again = catalog.photo(photo.sha256, done.fingerprint)
    assert again is not None and again.faces == ()


def test_a_forgetting_that_was_taken_back_has_the_photos_measured_again_once(home: Home) -> None:
    first = home.scan(home.photos)
    with VaultCatalog(home.vault.catalog) as catalog:
        photo = next(catalog.photos(first.fingerprint))
        forget_faces(catalog, [photo.key(0)])
    decisions = DecisionLog(home.vault.decisions)
    decisions.add("forget", {"person": "p001", "faces": [photo.key(0).to_json()], "kept": True})
    assert (home.scan().unchanged, home.opened) == (4, [])
    decisions.undo()
    done = home.scan()
    assert (done.measured, done.unchanged, done.counts.faces) == (1, 3, 4) and len(home.opened) == 1
    with VaultCatalog(home.vault.catalog) as catalog:
        assert catalog.thumbnail(photo.sha256)
    assert (home.scan().unchanged, home.opened) == (4, [])


def test_files_of_one_content_are_measured_once_whoever_was_first(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(home.photos / "0.png", home.photos / "copy.png")
    real = Watched.scan

    def without_asking(self: Watched, files: Iterable[ListedFile], count: int, wanted: Wanted) -> Iterator[ScannedFile]:
        return real(self, files, count, lambda sha256: True)  # as where two processes have one each

    monkeypatch.setattr(Watched, "scan", without_asking)
    done = home.scan(home.photos)
    assert (done.measured, done.recognised, done.unchanged) == (4, 1, 0)


def test_the_record_holds_what_the_next_scan_needs(home: Home) -> None:
    done = home.scan(home.photos)
    record = ScanRecord.read(home.vault)
    assert record == ScanRecord(
        folders=(str(home.photos),), models_dir="fake", fingerprint=done.fingerprint, min_face=20, stamp="models 1"
    )
    assert home.vault.scan_record.stat().st_mode & 0o077 == 0 and home.vault.catalog.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("spoilt", ["[]", '{"folders": ["/photos"]}'])
def test_a_record_that_is_none_is_named_with_the_next_step(home: Home, spoilt: str) -> None:
    home.scan(home.photos)
    home.vault.scan_record.write_text(spoilt)
    with pytest.raises(StateError, match=r"scan\.json does not hold .* Move it away and run: twinloop vault scan"):
        home.scan()


def jpeg() -> bytes:
    import io

    buffer = io.BytesIO()
    Image.effect_noise((200, 120), 60).convert("RGB").save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@pytest.mark.parametrize("identities", [True, False])
def test_without_an_embedder_no_photo_is_looked_at_where_people_are_asked_for(home: Home, identities: bool) -> None:
    pack = replace(fake_pack(), embedder=None)

    @contextmanager
    def scanner() -> Iterator[Scanner]:
        yield Watched(PhotoMeasurer(pack), home.opened, None)

    plan = ScanPlan((home.photos,), (), "some models", 20, "stamp", "30 s", scanner, identities)
    if not identities:
        assert scan(home.vault, plan, home.reporter).measured == 4
        return
    with pytest.raises(MissingModel, match=r"The models in some models have no embedder.*nothing was scanned"):
        scan(home.vault, plan, home.reporter)
    assert home.opened == [] and not home.vault.scan_record.exists()


def test_a_look_at_a_vault_of_another_version_leaves_it_and_a_scan_brings_it_up_to_date(home: Home) -> None:
    home.scan(home.photos)
    with closing(sqlite3.connect(home.vault.catalog)) as database:
        database.execute("PRAGMA user_version = 1")
        before = database.execute("SELECT count(*) FROM photo").fetchone()
    for opening in (looked_into, open_vault):
        with pytest.raises(StorageError, match="another version of this program"), opening(home.vault.root):
            pass
    with closing(sqlite3.connect(home.vault.catalog)) as database:
        assert database.execute("SELECT count(*) FROM photo").fetchone() == before
    assert home.scan().measured == 4
    with looked_into(home.vault.root) as opened:
        assert status(opened).counts.photos == 4


def test_where_the_catalogue_is_gone_clustering_says_to_scan_first(home: Home) -> None:
    home.scan(home.photos)
    home.vault.catalog.unlink()
    with (
        open_vault(home.vault.root) as opened,
        pytest.raises(NothingToDo, match="Scan first: twinloop vault scan --vault"),
    ):
        cluster(opened, ClusterOptions(), lambda: pytest.fail("no index is needed"), home.reporter)


def raw_and_jpeg(home: Home) -> None:
    """``a.CR2``, and ``a.jpg`` beside it."""
    (home.photos / "a.CR2").write_bytes(dng(scene()))
    Image.fromarray(scene()[:, ::-1]).save(home.photos / "a.jpg")


def reasons(done: Scanned) -> dict[str, str]:
    return {path.name: reason.split(",")[0].split(":")[0] for path, reason in done.skipped}


@pytest.mark.parametrize("first", ["raw", "both"])
def test_a_raw_photo_and_the_jpeg_beside_it_are_one_shot_whichever_was_there_first(home: Home, first: str) -> None:
    raw_and_jpeg(home)
    whole = (home.photos / "a.jpg").read_bytes()
    contents = []
    for edited in (first == "both", first != "both"):
        (home.photos / "a.jpg").unlink(missing_ok=True)
        if edited:
            (home.photos / "a.jpg").write_bytes(whole)
        done = home.scan(home.photos)
        assert (done.counts.photos, reasons(done)) == (5, {"a.CR2": "lies beside a.jpg"} if edited else {})
        with looked_into(home.vault.root) as opened:
            entry = opened.catalog.files.at(home.photos / ("a.jpg" if edited else "a.CR2"))
            assert entry is not None and entry.sha256
            contents.append(entry.sha256)
    with looked_into(home.vault.root) as opened:
        assert opened.decisions.same_shot.of(contents[0]) == {*contents}


@pytest.mark.parametrize("known", [False, True])
def test_a_raw_photo_beside_a_jpeg_that_is_damaged_is_used(home: Home, known: bool) -> None:
    raw_and_jpeg(home)
    path = home.photos / "a.jpg"
    whole = path.read_bytes()
    if known:
        home.scan(home.photos)
    path.write_bytes(whole[:300] + bytes(len(whole) - 302) + whole[-2:])
    for _ in range(2):
        done = home.scan(home.photos)
        assert (done.counts.photos, reasons(done)) == (5, {"a.jpg": "cannot be decoded"})
    assert (done.unchanged, home.opened) == (5, [])
    path.write_bytes(whole)
    assert reasons(home.scan()) == {"a.CR2": "lies beside a.jpg"}


def test_without_what_reads_raw_photos_one_beside_a_damaged_jpeg_says_so(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw_and_jpeg(home)
    (home.photos / "a.jpg").write_bytes(b"no photo")
    monkeypatch.setitem(sys.modules, "rawpy", None)
    done = home.scan(home.photos)
    assert done.counts.photos == 4 and "not installed" in home.skipped(done)["a.CR2"]
    assert home.scan().skipped == done.skipped


def test_a_jpeg_beside_a_raw_photo_may_change_without_a_warning(home: Home) -> None:
    raw_and_jpeg(home)
    home.scan(home.photos)
    with looked_into(home.vault.root) as opened:
        before = opened.catalog.files.at(home.photos / "a.jpg")
    assert before is not None
    DecisionLog(home.vault.decisions).add("exclude", {"person": "p001", "photos": [before.sha256]})
    Image.fromarray(scene()[::-1]).save(home.photos / "a.jpg")
    home.reporter.warnings.clear()
    assert home.scan().measured == 1 and home.reporter.warnings == []
