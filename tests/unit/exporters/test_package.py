"""Packages on disk: whole, repeatable, and never over somebody's own file."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from twinloop.errors import NothingToDo, StateError, UnreadableImage
from twinloop.exporters.package import File, Package, require_pictures, write_package


def package(**files: bytes) -> Package:
    listed = tuple(File(f"{name}.bin", data) for name, data in files.items())
    return Package(listed, "manifest.json", {"export": "test"}, ())


def content(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_same_package_gives_the_same_bytes(tmp_path: Path) -> None:
    write_package(tmp_path, package(a=b"1", b=b"2"))
    first = content(tmp_path)
    write_package(tmp_path, package(a=b"1", b=b"2"))
    assert content(tmp_path) == first
    assert set(first) == {"a.bin", "b.bin", "manifest.json"}
    listed = json.loads(first["manifest.json"])["files"]
    assert [item["name"] for item in listed] == ["a.bin", "b.bin"] and listed[0]["bytes"] == 1


def test_a_new_export_replaces_the_old_one_and_takes_what_is_no_longer_in_it(tmp_path: Path) -> None:
    write_package(tmp_path, package(a=b"1", b=b"2"))
    (tmp_path / "mine.txt").write_text("keep")
    write_package(tmp_path, package(a=b"3"))
    assert set(content(tmp_path)) == {"a.bin", "manifest.json", "mine.txt"}
    assert (tmp_path / "a.bin").read_bytes() == b"3"


@pytest.mark.parametrize("other", [{"export": "did"}, {"export": "test", "lora": "bob.safetensors"}])
def test_another_export_is_not_taken_for_an_earlier_one_of_the_same(tmp_path: Path, other: dict[str, str]) -> None:
    first = Package((File("alice.bin", b"1"),), "manifest.json", {"export": "test", "lora": "alice.safetensors"}, ())
    write_package(tmp_path, first)
    before = content(tmp_path)
    with pytest.raises(StateError, match="holds another export"):
        write_package(tmp_path, Package((File("bob.bin", b"2"),), "manifest.json", other, ()))
    assert content(tmp_path) == before


@pytest.mark.parametrize("known", [False, True])
def test_what_a_person_wrote_is_never_overwritten(tmp_path: Path, known: bool) -> None:
    if known:
        write_package(tmp_path, package(a=b"1", b=b"2"))
    (tmp_path / "b.bin").write_bytes(b"edited by hand")
    before = content(tmp_path)
    with pytest.raises(StateError, match="changed since" if known else "not from an export"):
        write_package(tmp_path, package(a=b"new", b=b"new"))
    assert content(tmp_path) == before


def test_a_folder_in_the_place_of_a_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.bin").mkdir()
    with pytest.raises(StateError, match=r"a\.bin was there before and is not from an export"):
        write_package(tmp_path, package(a=b"1"))


def test_what_was_edited_stays_when_it_is_no_longer_in_the_package(tmp_path: Path) -> None:
    write_package(tmp_path, package(a=b"1", b=b"2"))
    (tmp_path / "b.bin").write_bytes(b"edited by hand")
    write_package(tmp_path, package(a=b"1"))
    assert (tmp_path / "b.bin").read_bytes() == b"edited by hand"


def test_an_interrupted_export_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"1")  # killed before the manifest was written
    write_package(tmp_path, package(a=b"1", b=b"2"))
    assert set(content(tmp_path)) == {"a.bin", "b.bin", "manifest.json"}


def test_a_manifest_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "my web app"}')
    with pytest.raises(StateError, match="no manifest of an export"):
        write_package(tmp_path, package(a=b"1"))
    assert set(content(tmp_path)) == {"manifest.json"}


def test_a_manifest_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    root, outside = tmp_path / "package", tmp_path / "precious.txt"
    outside.write_bytes(b"1")
    digest = hashlib.sha256(b"1").hexdigest()
    root.mkdir()
    names = ["../precious.txt", str(outside)]
    (root / "manifest.json").write_text(json.dumps({"files": [{"name": name, "sha256": digest} for name in names]}))
    write_package(root, package(a=b"1"))
    assert outside.read_bytes() == b"1"


def test_every_file_is_made_once_and_the_manifest_is_returned_as_it_was_written(tmp_path: Path) -> None:
    made = list[str]()

    def content(name: str) -> bytes:
        made.append(name)
        return name.encode()

    files = tuple(File(f"set/{name}.bin", lambda name=name: content(name)) for name in ("a", "b"))
    for _ in range(2):  # the second time they are there already
        made.clear()
        manifest, told = write_package(tmp_path, Package(files, "manifest.json", {"export": "test"}, ()))
        assert made == ["a", "b"] and told == json.loads(manifest.read_text())
    assert [item["sha256"] for item in told["files"]] == [hashlib.sha256(name).hexdigest() for name in (b"a", b"b")]


def test_a_file_that_cannot_be_made_leaves_everything_as_it_was(tmp_path: Path) -> None:
    def damaged() -> bytes:
        raise UnreadableImage("is damaged")

    for root in (tmp_path, tmp_path / "new"):
        (tmp_path / "a.bin").write_bytes(b"1")
        before = content(tmp_path)
        with pytest.raises(UnreadableImage):
            write_package(root, Package((File("a.bin", b"1"), File("b.bin", damaged)), "manifest.json", {}, ()))
        assert content(tmp_path) == before and not (tmp_path / "new").exists()
        assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_what_a_killed_export_left_goes_with_the_next_one(tmp_path: Path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    ).stdout
    left = tmp_path / f".{tmp_path.name[:40]}.export.{int(dead)}.tmp"
    left.mkdir()
    (left / "a.jpg").write_bytes(b"a face")
    write_package(tmp_path, package(a=b"1"))
    assert not left.exists() and set(content(tmp_path)) == {"a.bin", "manifest.json"}


def test_nothing_chosen_is_an_error_that_says_what_is_missing() -> None:
    require_pictures(["one"], [])
    with pytest.raises(NothingToDo, match="angry: none"):
        require_pictures([], ["angry: none of 3 photos shows it"])
