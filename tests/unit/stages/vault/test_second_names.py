"""One folder under two names: every photo counts once, whatever it is called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.helpers.fake_photos import fake_photo
from tests.unit.stages.vault.scan_home import Home, home_in
from twinloop.errors import InputError
from twinloop.stages.vault.copies.dedup import DedupOptions, dedup
from twinloop.stages.vault.opened import ScanRecord
from twinloop.stages.vault.opening import open_vault
from twinloop.stages.vault.photo_named import photo_named
from twinloop.stages.vault.second_names import called_in, one_name_each, remark, second_names


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_in(tmp_path)


@pytest.fixture
def link(home: Home) -> Path:
    made = home.root / "link"
    made.symlink_to(home.photos)
    return made


def test_a_folder_that_is_named_twice_is_scanned_once(home: Home, link: Path) -> None:
    done = home.scan(home.photos, link)
    assert (done.folders, done.counts.files, done.measured) == ((str(home.photos),), 4, 4)
    (warning,) = home.reporter.warnings
    assert warning == f"{link} is {home.photos} under another name: scanned once, and kept under that name."


def test_a_second_name_that_comes_later_changes_nothing(home: Home, link: Path) -> None:
    home.scan(link)
    done = home.scan(home.photos)
    assert (done.folders, done.counts.files, done.unchanged, done.gone) == ((str(link),), 4, 4, 0)


def test_a_link_to_a_folder_below_a_scanned_one_is_its_second_name(home: Home) -> None:
    inner = home.photos.rename(home.root / "inner")
    home.photos.mkdir()
    inner = inner.rename(home.photos / "inner")
    link = home.root / "link"
    link.symlink_to(inner)
    home.scan(link)
    done = home.scan(home.photos)
    assert (done.folders, done.counts.files, done.recognised, done.gone) == ((str(home.photos),), 4, 4, 0)
    assert f"{link} is {inner} under another name" in home.reporter.warnings[-1]


def test_a_folder_is_taken_out_by_either_name(home: Home) -> None:
    holder = home.root / "holder"
    holder.mkdir()
    fake_photo(holder / "own.png", seed=9, size=128)
    link = holder / "link"
    link.symlink_to(home.photos)
    assert home.scan(holder, link, home.photos).folders == (str(holder), str(link))
    with pytest.raises(InputError, match=f"{home.root} is not one of"):
        home.scan(remove=[home.root])
    done = home.scan(remove=[home.photos])
    assert (done.folders, done.counts.files) == ((str(holder),), 1)


def test_a_folder_below_another_under_the_same_name_stays_as_it_was_said(home: Home) -> None:
    inner = home.photos / "inner"
    inner.mkdir()
    (home.photos / "0.png").rename(inner / "0.png")
    done = home.scan(home.photos, inner)
    assert done.folders == (str(home.photos), str(inner)) and done.counts.files == 4
    assert not home.reporter.warnings


def test_a_link_to_what_the_scan_passes_over_is_no_second_name(home: Home) -> None:
    hidden, link = home.photos / ".hidden", home.root / "link"
    hidden.mkdir()
    (home.photos / "0.png").rename(hidden / "0.png")
    link.symlink_to(hidden)
    done = home.scan(home.photos, link)
    assert done.folders == (str(home.photos), str(link)) and done.counts.files == 4
    kept = home.photos / "album"
    hidden.rename(kept)
    link.unlink()
    link.symlink_to(kept)
    assert home.scan(exclude=["album"]).folders == (str(home.photos), str(link))
    assert home.scan(only_these=True).folders == (str(home.photos),)


def test_a_vault_that_holds_both_names_heals_and_never_advises_to_delete_the_only_content(
    home: Home, link: Path
) -> None:
    other = home.root / "other"
    other.mkdir()
    for path in home.photos.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    home.scan(home.photos, other)
    for path in other.iterdir():
        path.unlink()
    other.rmdir()
    other.symlink_to(home.photos)  # as the vault was once scanned under both names
    with open_vault(home.vault.root) as opened:
        assert opened.catalog.files.at(other / "0.png") is not None
        found = dedup(opened, DedupOptions(), home.reporter)
        assert not found.of_kind("exact") and found.files == 4
    done = home.scan()
    assert (done.folders, done.counts.files, done.gone) == ((str(home.photos),), 4, 0)
    assert ScanRecord.read(home.vault).folders == (str(home.photos),)


def test_hard_links_are_one_file_and_a_real_copy_is_another(home: Home) -> None:
    first = home.photos / "0.png"
    os.link(first, home.photos / "a_link.png")
    (home.photos / "copy.png").write_bytes(first.read_bytes())
    home.scan(home.photos)
    with open_vault(home.vault.root) as opened:
        (group,) = dedup(opened, DedupOptions(), home.reporter).of_kind("exact")
    assert [(Path(file.path).name, file.kept) for file in group.files] == [("0.png", True), ("copy.png", False)]


def test_a_photo_is_found_by_either_name(home: Home, link: Path) -> None:
    home.scan(home.photos)
    with open_vault(home.vault.root) as opened:
        assert photo_named(opened, link / "0.png").path == home.photos / "0.png"


def test_what_a_scan_calls_a_path(tmp_path: Path) -> None:
    (tmp_path / "real/sub").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    assert called_in([str(link)], tmp_path / "real/sub/a.jpg") == link / "sub/a.jpg"
    assert called_in([str(tmp_path / "real")], link) == tmp_path / "real"
    assert called_in([str(tmp_path / "real")], tmp_path / "elsewhere") == tmp_path / "elsewhere"


def test_names_of_files_that_are_away_are_told_apart_by_their_path(tmp_path: Path) -> None:
    away = [str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg")]
    assert one_name_each(away) == away


def test_of_many_second_names_some_are_told(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    links = [tmp_path / f"link{number}" for number in range(5)]
    for link in links:
        link.symlink_to(tmp_path / "real")
    found = second_names([tmp_path / "real", *links], lambda place, root: True)
    assert list(found) == links
    assert remark(found).endswith("; and 2 more: scanned once, and kept under that name.")
