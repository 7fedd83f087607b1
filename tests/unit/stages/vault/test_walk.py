"""What a walk says of the entries of folders, without opening one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from twinloop.errors import InputError
from twinloop.stages.vault import walk as walk_module
from twinloop.stages.vault.passed_over import Exclusions
from twinloop.stages.vault.walk import NOT_OPENED, Walk
from twinloop.store.pictures.images import SUFFIXES
from twinloop.store.pictures.raw import MISSING
from twinloop.store.pictures.raw_pairs import beside
from twinloop.store.vault.files import FileEntry


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
    touched(tmp_path, "a.eps", "b.jp2", "c.svg", "d.psd")
    reasons = found(Walk(), tmp_path)
    assert set(reasons) == {"a.eps", "b.jp2", "c.svg", "d.psd"} and all(reasons.values())
    assert not NOT_OPENED.keys() & SUFFIXES


def test_raw_photos_are_listed_with_their_stat_and_those_beside_a_jpeg_with_the_reason(tmp_path: Path) -> None:
    touched(tmp_path, "a.CR2", "b.NEF", "b.jpg", "deep/a.jpg", "c.dng/d.png", ".hidden.jpg")
    assert found(Walk(), tmp_path) == {
        "a.CR2": "",
        "b.NEF": beside("b.jpg"),
        "b.jpg": "",
        "deep/a.jpg": "",
        "c.dng/d.png": "",
    }
    assert "beside b.jpg" in beside("b.jpg")
    listed = {entry.listed.path.name: entry.listed for entry in Walk().found([tmp_path])}
    assert all(listed[name].mtime_ns == (tmp_path / name).stat().st_mtime_ns for name in ("a.CR2", "b.NEF"))


def test_without_the_library_every_raw_photo_alone_has_the_same_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched(tmp_path, "a.CR2", "b.NEF", "b.jpg", "c.arw")
    monkeypatch.setitem(sys.modules, "rawpy", None)
    assert found(Walk(), tmp_path) == {"a.CR2": MISSING, "b.NEF": beside("b.jpg"), "b.jpg": "", "c.arw": MISSING}


def test_a_pair_that_is_known_is_not_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched(tmp_path, "a.CR2", "a.jpg", "b.CR2", "b.jpg")
    asked: list[str] = []

    def same(raw_photo: Path, photo: Path) -> bool:
        asked.append(raw_photo.name)
        return raw_photo.name == "a.CR2"

    monkeypatch.setattr(walk_module, "same_shot", same)
    first = list(Walk().found([tmp_path]))
    assert sorted(asked) == ["a.CR2", "b.CR2"]
    known = {
        entry.listed.path: FileEntry(
            entry.listed.path,
            entry.listed.size,
            entry.listed.mtime_ns,
            None if entry.problem else "0" * 64,
            entry.problem,
            ctime_ns=entry.listed.ctime_ns,
        )
        for entry in first
    }
    asked.clear()
    assert list(Walk(known=known.get).found([tmp_path])) == first and "a.CR2" not in asked
    (tmp_path / "a.jpg").write_bytes(b"another")
    assert {entry.problem for entry in Walk(known=known.get).found([tmp_path])} == {"", beside("a.jpg")}
    assert "a.CR2" in asked


def test_a_raw_photo_beside_a_jpeg_that_is_known_as_damaged_is_taken_until_that_one_changes(tmp_path: Path) -> None:
    touched(tmp_path, "a.CR2", "a.jpg")
    known = {
        entry.listed.path: FileEntry(
            entry.listed.path,
            entry.listed.size,
            entry.listed.mtime_ns,
            None,
            entry.problem or "cannot be decoded",
            ctime_ns=entry.listed.ctime_ns,
        )
        for entry in Walk().found([tmp_path])
    }
    assert found(Walk(known=known.get), tmp_path) == {"a.CR2": "", "a.jpg": ""}
    (tmp_path / "a.jpg").write_bytes(b"another")
    assert found(Walk(known=known.get), tmp_path) == {"a.CR2": beside("a.jpg"), "a.jpg": ""}


def test_a_name_that_is_no_text_can_be_written_down_as_a_reason() -> None:
    assert beside(os.fsdecode(b"\xff.jpg")).encode() == b"lies beside \\xff.jpg, the same shot, which is used"


def test_a_file_of_any_name_that_was_asked_for_is_taken(tmp_path: Path) -> None:
    touched(tmp_path, "photo")
    assert found(Walk(), tmp_path / "photo") == {".": ""}


def test_a_folder_that_links_to_its_parent_ends(tmp_path: Path) -> None:
    touched(tmp_path, "a/b.jpg")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "here").symlink_to(tmp_path / "a")
    assert found(Walk(), tmp_path) == {"a/b.jpg": ""}


def test_a_link_to_a_folder_that_is_passed_over_is_told(tmp_path: Path) -> None:
    touched(tmp_path, ".hidden/b.jpg")
    (tmp_path / "here").symlink_to(tmp_path / ".hidden")
    assert found(Walk(), tmp_path) == {"here": "a link to a folder: scan that folder itself"}


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


def test_what_other_programs_keep_beside_photos_is_passed_over_and_counted(tmp_path: Path) -> None:
    touched(
        tmp_path, "a.jpg", "@eaDir/a.jpg/SYNO_THUMB_XL.jpg", "deep/@EADIR/b.jpg", "#recycle/c.jpg", "#snapshot/d.jpg",
        ".stversions/e.jpg", "lost+found/f.jpg", "$Recycle.Bin/g.jpg", "System Volume Information/h.jpg",
        "Smart Previews.lrdata/0/i.jpg", "Thumbs.db", "notes.txt",
    )  # fmt: skip
    walk = Walk()
    assert found(walk, tmp_path) == {"a.jpg": ""}
    assert walk.passed == {
        "@eaDir": 2, "#recycle": 1, "#snapshot": 1, "lost+found": 1, "$RECYCLE.BIN": 1, "System Volume Information": 1,
        "*.lrdata": 1, "Thumbs.db": 1,
    }  # fmt: skip
    assert walk.ignored == {".txt": 1}
    assert found(Walk(), tmp_path / "#recycle") == {"c.jpg": ""}, "it was asked for"


def test_of_a_library_of_photos_the_originals_are_taken(tmp_path: Path) -> None:
    new, old = tmp_path / "Photos Library.photoslibrary", tmp_path / "Old.photoslibrary"
    touched(
        new, "originals/0/a.heic", "resources/derivatives/0/a_1.jpeg", "resources/renders/0/a.jpeg", "private/b.jpg"
    )
    touched(old, "Masters/2014/b.jpg", "Thumbnails/b.jpg")
    walk = Walk()
    assert set(found(walk, tmp_path)) == {f"{new.name}/originals/0/a.heic", f"{old.name}/Masters/2014/b.jpg"}
    assert walk.passed == {"in *.photoslibrary": 3}
    assert set(found(Walk(), new)) == {"originals/0/a.heic"}, "also where the library itself was named"


@pytest.mark.parametrize(
    "record",
    [
        ("person.json", '{"person": "p001", "consent": {}, "files": [{"file": "a.png"}]}'),
        (".prep.jsonl", ""),
        ("manifest.json", '{"program": "twinloop 2.0", "export": "kohya", "files": []}'),
    ],
)
def test_a_training_set_of_this_program_is_no_folder_of_photos(tmp_path: Path, record: tuple[str, str]) -> None:
    touched(tmp_path, "photo.jpg", "sets/bob/10_ohwx bob/a.png", "sets/bob/b.png")
    (tmp_path / "sets/bob" / record[0]).write_text(record[1])
    walk = Walk()
    assert found(walk, tmp_path) == {"photo.jpg": ""}
    assert walk.passed == {"prepared by this program": 1}
    assert set(found(Walk(), tmp_path / "sets/bob")) == {"b.png", "10_ohwx bob/a.png"}, "it was asked for"
    (tmp_path / "link.png").symlink_to(tmp_path / "sets/bob/b.png")
    assert found(Walk(), tmp_path)["link.png"] == "", "nothing else comes by it"


@pytest.mark.parametrize(
    "record",
    [
        ("person.json", '{"consent": {"kind": "self", "who": "Ana"}}'),
        ("person.json", "[["),
        ("manifest.json", '{"program": "another", "export": "x", "files": []}'),
        ("manifest.json", '{"program": "twinloop 2.0", "files": []}'),
        ("manifest.json", "no JSON"),
    ],
)
def test_a_record_that_somebody_wrote_by_hand_hides_no_photo(tmp_path: Path, record: tuple[str, str]) -> None:
    touched(tmp_path, "photos/a.jpg")
    (tmp_path / "photos" / record[0]).write_text(record[1])
    assert found(Walk(), tmp_path) == {"photos/a.jpg": ""}


TREE = ("a.jpg", "b.tif", "raw/c.jpg", "2019/raw/d.JPG", "2019/e.jpg", "2019/trip/f.tif", "raw.jpg")


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("raw", {"a.jpg", "b.tif", "2019/e.jpg", "2019/trip/f.tif", "raw.jpg"}),
        ("**/Raw/**", {"a.jpg", "b.tif", "2019/e.jpg", "2019/trip/f.tif", "raw.jpg"}),
        ("raw/", {"a.jpg", "b.tif", "2019/e.jpg", "2019/trip/f.tif", "raw.jpg"}),
        ("2019/*", {"a.jpg", "b.tif", "raw/c.jpg", "raw.jpg"}),
        ("2019/*.jpg", {"a.jpg", "b.tif", "raw/c.jpg", "2019/raw/d.JPG", "2019/trip/f.tif", "raw.jpg"}),
        ("*.tif", {"a.jpg", "raw/c.jpg", "2019/raw/d.JPG", "2019/e.jpg", "raw.jpg"}),
        ("**/*.{tif,jpg}", set()),
        ("[ab].*", {"raw/c.jpg", "2019/raw/d.JPG", "2019/e.jpg", "2019/trip/f.tif", "raw.jpg"}),
        ("20?9/tr*", {"a.jpg", "b.tif", "raw/c.jpg", "2019/raw/d.JPG", "2019/e.jpg", "raw.jpg"}),
        ("e.jpg/x", set(TREE)),
        ("trip/**", set(TREE)),
        ("./raw", {"a.jpg", "b.tif", "2019/raw/d.JPG", "2019/e.jpg", "2019/trip/f.tif", "raw.jpg"}),
        ("raw/**", {"a.jpg", "b.tif", "2019/raw/d.JPG", "2019/e.jpg", "2019/trip/f.tif", "raw.jpg"}),
        ("*/**", {"a.jpg", "b.tif", "raw.jpg"}),
        ("2019/*/**", {"a.jpg", "b.tif", "raw/c.jpg", "2019/e.jpg", "raw.jpg"}),
        ("{raw,2019/trip}/**", {"a.jpg", "b.tif", "2019/raw/d.JPG", "2019/e.jpg", "raw.jpg"}),
        ("2019/**/**", {"a.jpg", "b.tif", "raw/c.jpg", "raw.jpg"}),
        ("**", set()),
        ("**/**", set()),
        ("(a|b).jpg", set(TREE)),
    ],
)
def test_exclusion_patterns(tmp_path: Path, pattern: str, left: set[str]) -> None:
    touched(tmp_path, *TREE)
    walk = Walk(exclusions=Exclusions([pattern, "nothing"]))
    assert set(found(walk, tmp_path)) == left
    assert set(walk.excluded) == ({pattern} if left != set(TREE) else set())


def test_a_pattern_of_a_whole_path(tmp_path: Path) -> None:
    touched(tmp_path, *TREE)
    assert not found(Walk(exclusions=Exclusions([f"{tmp_path}/*"])), tmp_path)
    assert set(found(Walk(exclusions=Exclusions([f"{tmp_path}/2019/**"])), tmp_path)) == {
        name for name in TREE if not name.startswith("2019")
    }


def test_every_pattern_that_matches_is_counted(tmp_path: Path) -> None:
    touched(tmp_path, *TREE)
    walk = Walk(exclusions=Exclusions(["raw*", "raw", "*.jpg", "trip"]))
    assert set(found(walk, tmp_path)) == {"b.tif"}
    assert walk.excluded == {"raw*": 3, "raw": 2, "*.jpg": 3, "trip": 1}


def test_patterns_of_a_folder_that_a_path_is_in() -> None:
    patterns = ["/p/photos/**", "/p/**", "/P/photos/", "/p/photos/*", "/p/photos/2019/**", "photos", "/**", "/p/*/**"]
    assert Exclusions(patterns).around("/p/photos") == [
        "/p/photos/**", "/p/**", "/P/photos/", "/**", "/p/*/**",
    ]  # fmt: skip


def test_a_pattern_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(InputError, match=r"\[z-a\]"):
        Exclusions(["[z-a]"])


def test_a_raw_photo_beside_an_excluded_jpeg_is_taken(tmp_path: Path) -> None:
    touched(tmp_path, "a.CR2", "a.jpg")
    assert found(Walk(exclusions=Exclusions(["*.jpg"])), tmp_path) == {"a.CR2": ""}


def test_a_link_to_what_is_passed_over_is_read(tmp_path: Path) -> None:
    touched(tmp_path, "@eaDir/a.jpg", "no/b.jpg", "yes/c.jpg")
    for name, target in {"a": "@eaDir/a.jpg", "b": "no/b.jpg", "c": "yes/c.jpg"}.items():
        (tmp_path / f"{name}.jpg").symlink_to(tmp_path / target)
    reasons = found(Walk(exclusions=Exclusions(["no"])), tmp_path)
    assert (reasons["a.jpg"], reasons["b.jpg"]) == ("", "") and "scanned itself" in reasons["c.jpg"]
