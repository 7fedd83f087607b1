"""Whole files or none."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.errors import InputError, StateError, StorageError
from twinloop.store import atomic
from twinloop.store.atomic import (
    check_writable,
    check_writable_folder,
    copy_whole,
    is_leftover,
    read_as,
    read_json,
    read_object,
    remove_leftovers,
    remove_leftovers_of,
    sha256_file,
    storage_errors,
    temporary_beside,
    whole_file,
    write_bytes,
    write_json,
)


class PowerCut(BaseException):
    """Nothing may catch it."""


def fail_at(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(atomic.os, name, fail)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_crash_before_the_rename_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "history.json"
    write_bytes(path, b"old")
    fail_at(monkeypatch, step, PowerCut())
    with pytest.raises(PowerCut):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_file_and_no_scrap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = tmp_path / "history.json"
    write_bytes(path, b"old")
    fail_at(monkeypatch, "fsync", OSError(code, os.strerror(code)))
    with pytest.raises(StorageError, match=r"The disk is full.*history\.json.*run the same command again"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["history.json"]


def test_no_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_at(monkeypatch, "replace", PermissionError(errno.EACCES, "no"))
    with pytest.raises(StorageError, match="No permission to write"):
        write_bytes(tmp_path / "x", b"")


@pytest.mark.parametrize(
    ("code", "windows"),
    [(errno.EACCES, 5), (errno.EACCES, 32), (errno.EACCES, 33), (errno.EINVAL, 1224)],
)
def test_a_file_that_another_program_has_open_is_called_so(code: int, windows: int, tmp_path: Path) -> None:
    error = OSError(code, "no")
    error.winerror = windows  # type: ignore[attr-defined,unused-ignore]
    told = r"write .*x\. .*permissions, or close the program that has it open\.$"
    with pytest.raises(StorageError, match=told), storage_errors(tmp_path / "x"):
        raise error
    error.winerror = 87  # type: ignore[attr-defined,unused-ignore]
    with pytest.raises((StorageError, OSError)) as other, storage_errors(tmp_path / "x"):
        raise error
    assert "close the program" not in str(other.value)


def test_other_errors_are_not_called_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_at(monkeypatch, "fsync", OSError(errno.EIO, "broken disk"))
    with pytest.raises(OSError, match="broken disk"):
        write_bytes(tmp_path / "x", b"")


def test_data_is_durable_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """write, fsync of the file, rename, fsync of the folder: in any other order a power cut can leave an empty file."""
    order: list[str] = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(handle: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else f"file of {os.fstat(handle).st_size}")
        real_sync(handle)

    def replace(source: Any, target: Any) -> None:
        order.append("rename")
        real_replace(source, target)

    monkeypatch.setattr(atomic.os, "fsync", sync)
    monkeypatch.setattr(atomic.os, "replace", replace)
    write_bytes(tmp_path / "x", b"12345")
    assert order == ["file of 5", "rename", "folder"]


def test_folders_are_made_and_long_names_fit(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / ("ä" * 120 + ".png")
    write_bytes(path, b"data")
    assert path.read_bytes() == b"data"


def test_what_describes_a_face_is_for_the_owner_only(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_json(tmp_path / "identity.json", {}, private=True)
        write_json(tmp_path / "gaps.json", {})
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"identity.json": 0o600, "gaps.json": 0o644}


def test_leftovers_of_killed_processes_go_and_others_stay(tmp_path: Path) -> None:
    dead, own, alive, users = (
        tmp_path / n for n in (f".a.json.{2**22 + 7}.tmp", f".b.{os.getpid()}.tmp", ".c.json.1.tmp", ".mine.tmp")
    )
    (tmp_path / "sub").mkdir()
    below = tmp_path / "sub" / f".d.png.{2**22 + 7}.tmp"
    for path in (dead, own, alive, users, below):
        path.write_bytes(b"")
    remove_leftovers(tmp_path)
    assert {p.name for p in tmp_path.rglob(".*")} == {alive.name, users.name}


def test_of_one_file_only_its_own_leftovers_go(tmp_path: Path) -> None:
    dead, other, alive = (
        tmp_path / n for n in (f".a.json.{2**22 + 7}.tmp", f".b.json.{2**22 + 7}.tmp", ".a.json.1.tmp")
    )
    for path in (dead, other, alive):
        path.write_bytes(b"")
    remove_leftovers_of(tmp_path / "a.json")
    assert {p.name for p in tmp_path.iterdir()} == {other.name, alive.name}


def test_a_name_of_brackets_is_no_pattern(tmp_path: Path) -> None:
    own, other = (tmp_path / f".{name}.json.{2**22 + 7}.tmp" for name in ("a[12]", "a1"))
    for path in (own, other):
        path.write_bytes(b"")
    remove_leftovers_of(tmp_path / "a[12].json")
    assert list(tmp_path.iterdir()) == [other]


def test_clearing_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove_leftovers(tmp_path / "nothing")


text = st.text(st.characters(codec=None), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_json_comes_back_whatever_is_in_it(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    """Also the lone surrogates of file names that are no valid UTF-8; the file itself always is."""
    path = tmp_path_factory.mktemp("json") / "x.json"
    write_json(path, data)
    assert read_json(path) == data
    path.read_text("utf-8")


def test_json_is_readable_and_keeps_its_order(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": "für", "a": [1]})
    assert (tmp_path / "x.json").read_text("utf-8") == '{\n  "b": "für",\n  "a": [\n    1\n  ]\n}\n'


def test_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "x.json", {"value": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_reading_what_is_missing_or_broken(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="File not found"):
        read_json(tmp_path / "x.json")
    (tmp_path / "x.json").write_text('{"half": ')
    with pytest.raises(StateError, match=r"x\.json.*run the step that writes it again"):
        read_json(tmp_path / "x.json")
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(StateError):
        read_json(tmp_path / "x.json")


def test_hash_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_file(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_copy_is_whole_and_an_equal_one_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "a", tmp_path / "sub" / "b"
    source.write_bytes(b"one")
    copy_whole(source, target)
    assert target.read_bytes() == b"one"
    source.write_bytes(b"two")
    copy_whole(source, target)
    assert target.read_bytes() == b"two"
    monkeypatch.setattr(atomic, "whole_file", lambda *_: pytest.fail("an equal file was written again"))
    copy_whole(source, target)
    assert json.dumps([p.name for p in target.parent.iterdir()]) == '["b"]'


def test_a_copy_of_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    source = tmp_path / "lora"
    source.write_bytes(bytes(32 << 20))
    tracemalloc.start()
    try:
        copy_whole(source, tmp_path / "copy")
        copy_whole(source, tmp_path / "copy")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20
    assert sha256_file(tmp_path / "copy") == sha256_file(source)


def test_a_copy_of_what_is_not_there_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        copy_whole(tmp_path / "nothing", tmp_path / "sub" / "copy")
    assert not (tmp_path / "sub").exists()


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_bytes(path, b"old")
    with pytest.raises(PowerCut), whole_file(path) as file:
        file.write(b"half of the ne")
        raise PowerCut
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["x"]


def test_two_threads_write_one_file_under_two_names(tmp_path: Path) -> None:
    names = [temporary_beside(tmp_path / "x")]
    other = threading.Thread(target=lambda: names.append(temporary_beside(tmp_path / "x")))
    other.start()
    other.join()
    assert len(set(names)) == 2 and all(is_leftover(name) for name in names)


@pytest.mark.parametrize("data", [None, b"{half", b"[1]", b"null", b"\xff"])
def test_a_look_at_what_is_no_object_finds_nothing(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "x.json").write_bytes(data)
    assert read_object(tmp_path / "x.json") == {}


def test_a_look_at_an_object_finds_it(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": 1})
    assert read_object(tmp_path / "x.json") == {"a": 1}
    assert read_object(tmp_path / "x.json", lambda path: {"read": path.name}) == {"read": "x.json"}


@pytest.mark.parametrize("name", ["folder", "x" * 300])
def test_an_error_names_the_file_and_not_what_it_is_called_meanwhile(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=name) as caught:
        write_bytes(tmp_path / name, b"x")
    assert caught.value.filename == str(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_what_cannot_be_written_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_writable(tmp_path / "new" / "deep" / "x.json")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_bytes(b"x")
    check_writable(tmp_path / "file")
    with pytest.raises(InputError, match="file is no folder"):
        check_writable(tmp_path / "file" / "x.json")
    with pytest.raises(InputError, match="is a folder"):
        check_writable(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(StorageError, match="No permission to write"):
        check_writable(tmp_path / "new" / "x.json")


def test_a_folder_that_cannot_be_written_into_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path, tmp_path / "new/deep"):
        check_writable_folder(folder)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for path, words in (("file", "Name a folder"), ("link", "Name a folder"), ("file/below/it", "Name another folder")):
        with pytest.raises(InputError, match=f"is no folder. {words}"):
            check_writable_folder(tmp_path / path)
    monkeypatch.setattr(os, "access", lambda path, mode: os.fspath(path) != os.fspath(tmp_path))
    for folder in (tmp_path, tmp_path / "new/deep"):
        with pytest.raises(StorageError, match=f"No permission to write {folder}\\."):
            check_writable_folder(folder)


@pytest.mark.parametrize("foreign", ["[]", "{}", "3", '{"numbers": ["a"]}', '{"numbers": []}'])
def test_json_of_others_is_told_with_the_remedy(tmp_path: Path, foreign: str) -> None:
    path = tmp_path / "numbers.json"
    path.write_text(foreign)
    with pytest.raises(StateError, match=r"numbers\.json does not hold what .* \(.+\)\. Make them again\."):
        read_as(path, lambda data: int(data["numbers"][0]), "Make them again.")
    path.write_text('{"numbers": [7]}')
    assert read_as(path, lambda data: int(data["numbers"][0])) == 7
