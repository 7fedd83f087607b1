"""What a walk says of the entries of folders, without opening one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from twinloop.stages.vault.walk import NOT_OPENED, Walk
from twinloop.store.pictures.images import SUFFIXES


def found(walk: Walk, *roots: Path) -> dict[str, str]:
    return {os.path.relpath(entry.listed.path, roots[0]): entry.problem for entry in walk.found(roots)}


def touched(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_pictures_by_name_in_every_folder_with_their_stat(tmp_path: Path) -> None:
    touched(
        tmp_path,
        "a.JPG",
        "deep/er/b.heic",
        "c.webp",
        "notes.txt",
        "no suffix",
        "film.mp4",
        ".hidden.jpg",
        ".cache/d.jpg",
        "folder.jpg/e.png",
    )
    walk = Walk()
    assert found(walk, tmp_path) == {"a.JPG": "", "deep/er/b.heic": "", "c.webp": "", "folder.jpg/e.png": ""}
    assert walk.ignored == {".txt": 1, "": 1, ".mp4": 1}
    listed = next(entry.listed for entry in walk.found([tmp_path]) if entry.listed.path.name == "a.JPG")
    stat = (tmp_path / "a.JPG").stat()
    assert (listed.size, listed.mtime_ns) == (1, stat.st_mtime_ns)


def test_pictures_that_stay_shut_are_named_and_never_on_the_list_of_those_that_open(tmp_path: Path) -> None:
    touched(tmp_path, "a.eps", "b.CR2", "c.svg", "d.psd")
    reasons = found(Walk(), tmp_path)
    assert set(reasons) == {"a.eps", "b.CR2", "c.svg", "d.psd"} and all(reasons.values())
    assert not NOT_OPENED.keys() & SUFFIXES


def test_a_file_of_any_name_that_was_asked_for_is_taken(tmp_path: Path) -> None:
    touched(tmp_path, "photo")
    assert found(Walk(), tmp_path / "photo") == {".": ""}


def test_a_folder_that_links_to_its_parent_ends(tmp_path: Path) -> None:
    touched(tmp_path, "a/b.jpg")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "here").symlink_to(tmp_path / "a")
    assert found(Walk(), tmp_path) == {"a/b.jpg": "", "a/here": "a link to a folder: scan that folder itself"}


def test_a_link_to_a_folder_that_is_scanned_itself_is_no_complaint(tmp_path: Path) -> None:
    touched(tmp_path, "photos/a.jpg", "disk/b.jpg")
    (tmp_path / "photos" / "usb").symlink_to(tmp_path / "disk")
    assert found(Walk(), tmp_path / "photos", tmp_path / "photos" / "usb") == {"a.jpg": "", "usb/b.jpg": ""}


def test_links_are_followed_out_of_the_folders_only(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    touched(inside, "a.jpg")
    touched(outside, "b.jpg")
    (inside / "copy.jpg").symlink_to("a.jpg")
    (inside / "b.jpg").symlink_to(outside / "b.jpg")
    reasons = found(Walk(), inside)
    assert (
        reasons["b.jpg"] == ""
        and reasons["copy.jpg"] == f"a link to {os.path.realpath(inside / 'a.jpg')}, which is scanned itself"
    )
    assert "scanned itself" in found(Walk(), inside, outside)["b.jpg"]


def test_a_folder_named_alike_is_not_inside(tmp_path: Path) -> None:
    """/photos-old is not in /photos."""
    touched(tmp_path, "photos/a.jpg", "photos-old/b.jpg")
    (tmp_path / "photos" / "b.jpg").symlink_to(tmp_path / "photos-old" / "b.jpg")
    assert found(Walk(), tmp_path / "photos")["b.jpg"] == ""


def test_a_link_to_what_is_not_scanned_itself_is_read(tmp_path: Path) -> None:
    """git-annex and DataLad keep every photo in a hidden folder, with a link to it where people look."""
    photos, shut = tmp_path / "photos", tmp_path / "photos" / "vault"
    touched(
        photos, ".git/annex/objects/k1.jpg", "album/.k2.jpg", "store/k3", "vault/organized/k4.jpg", "vault-old/k5.jpg"
    )
    for name, target in {
        "annex": ".git/annex/objects/k1.jpg",
        "hidden": "album/.k2.jpg",
        "no suffix": "store/k3",
        "shut out": "vault/organized/k4.jpg",
        "seen": "vault-old/k5.jpg",
    }.items():
        (photos / f"{name}.jpg").symlink_to(photos / target)
    reasons = found(Walk(frozenset({os.path.realpath(shut)})), photos)
    assert [name for name, reason in reasons.items() if reason] == ["seen.jpg"]
    assert "scanned itself" in reasons["seen.jpg"]
    assert {"annex.jpg", "hidden.jpg", "no suffix.jpg", "shut out.jpg"} <= reasons.keys()


def test_a_hidden_folder_that_was_asked_for_is_not_hidden_in_itself(tmp_path: Path) -> None:
    root = tmp_path / ".photos"
    touched(root, "a.jpg")
    (root / "b.jpg").symlink_to("a.jpg")
    assert "scanned itself" in found(Walk(), root)["b.jpg"]
    assert "scanned itself" in found(Walk(), root, root / "a.jpg")["b.jpg"]


def test_the_shut_out_folder_is_not_entered(tmp_path: Path) -> None:
    touched(tmp_path, "a.jpg", "vault/organized/b.jpg")
    assert found(Walk(frozenset({os.path.realpath(tmp_path / "vault")})), tmp_path) == {"a.jpg": ""}


def test_a_folder_that_refuses_is_told_and_the_walk_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched(tmp_path, "a.jpg", "shut/b.jpg", "open/c.jpg")
    real = os.scandir

    def refusing(path: str) -> object:
        if os.fspath(path).endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    walk = Walk()
    assert found(walk, tmp_path) == {
        "a.jpg": "",
        "open/c.jpg": "",
        "shut": "this folder cannot be looked into: Permission denied",
    }
    assert walk.unread == [tmp_path / "shut"]
