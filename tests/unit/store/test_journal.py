"""The journal: a process may die at any byte."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.errors import StateError, StorageError
from twinloop.store.journal import Journal

ENTRIES: list[tuple[str, Any]] = [
    ("run", "ab12"),
    ("iter1.names", ["ä.png", "b\n.png"]),
    ("iter1.image.1", None),
    ("lora_v1", {"b": 1, "a": [2.5]}),
]


def filled(path: Path, entries: list[tuple[str, Any]] = ENTRIES) -> Journal:
    journal = Journal(path)
    for key, data in entries:
        journal.record(key, data)
    return journal


keys = st.text(st.characters(codec=None), min_size=1, max_size=12)
data = st.recursive(
    st.none() | st.integers() | keys,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(keys, data, max_size=6))
def test_replay_gives_back_what_was_recorded(tmp_path_factory: pytest.TempPathFactory, entries: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    filled(path, list(entries.items()))
    again = Journal(path)
    assert len(again) == len(entries)
    assert all(key in again and again.get(key) == value for key, value in entries.items())


def test_a_file_cut_at_any_byte_keeps_every_whole_line(tmp_path: Path) -> None:
    """Every possible torn write, byte by byte: whole lines count, the rest is cut off, and the next record fits on."""
    path = tmp_path / "journal.jsonl"
    filled(path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        journal = Journal(path)
        lines = whole[:length].count(b"\n")
        assert len(journal) == lines
        assert path.stat().st_size == sum(len(line) + 1 for line in whole.split(b"\n")[:lines])
        journal.record("next")
        assert "next" in Journal(path)


def test_garbage_at_the_end_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    filled(path)
    whole = path.read_bytes()
    for scrap in (
        b"\x00" * 40,
        b"00000000 [1]\n",
        b"short\n",
        whole.splitlines(keepends=True)[0].replace(b"ab12", b"ab13"),
    ):
        path.write_bytes(whole + scrap)
        assert len(Journal(path)) == len(ENTRIES)
        assert path.read_bytes() == whole


@pytest.mark.parametrize("line", [1, len(ENTRIES) - 1])
@pytest.mark.parametrize("byte", [0, 9, 12])
def test_damage_before_the_end_is_refused_with_the_line(tmp_path: Path, byte: int, line: int) -> None:
    path = tmp_path / "journal.jsonl"
    filled(path)
    lines = path.read_bytes().splitlines(keepends=True)
    place = line - 1
    lines[place] = lines[place][:byte] + bytes([lines[place][byte] ^ 1]) + lines[place][byte + 1 :]
    path.write_bytes(b"".join(lines))
    with pytest.raises(StateError, match=f"line {line} is damaged"):
        Journal(path)
    assert path.read_bytes() == b"".join(lines)
    with pytest.raises(StateError, match="Delete it\\."):
        Journal(path, remedy="Delete it.")


def test_a_unit_is_recorded_once(tmp_path: Path) -> None:
    journal = filled(tmp_path / "journal.jsonl")
    with pytest.raises(StateError, match="'run' was already done"):
        journal.record("run")
    assert len(Journal(journal.path)) == len(ENTRIES)


def test_the_boundary_is_called_once_the_record_is_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    seen: list[tuple[str, int]] = []
    journal = Journal(path, lambda key: seen.append((key, len(Journal(path)))))
    journal.record("a")
    journal.record("b")
    assert seen == [("a", 1), ("b", 2)]


def test_a_record_that_could_not_be_written_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = filled(tmp_path / "journal.jsonl")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="disk is full"):
            journal.record("next")
    assert "next" not in journal


@pytest.mark.parametrize("entries", [ENTRIES, []])
def test_a_record_that_was_half_written_leaves_no_torn_line_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: list[tuple[str, Any]]
) -> None:
    journal = filled(tmp_path / "journal.jsonl", entries)
    real, calls = os.write, 0

    def filling(handle: int, line: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(errno.ENOSPC, "full")
        return real(handle, line[:5])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", filling)
        with pytest.raises(StorageError, match="disk is full"):
            journal.record("next")
    journal.record("later", 1)
    again = Journal(journal.path)
    assert len(again) == len(entries) + 1 and again.get("later") == 1 and "next" not in again


def test_a_line_that_goes_to_the_disk_in_pieces_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, line: real(handle, line[:7]))
    assert len(Journal(filled(tmp_path / "journal.jsonl").path)) == len(ENTRIES)


def test_every_record_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    real = os.fsync

    def sync(handle: int) -> None:
        sizes.append(os.fstat(handle).st_size)
        real(handle)

    monkeypatch.setattr(os, "fsync", sync)
    journal = filled(tmp_path / "journal.jsonl")
    assert journal.path.stat().st_size in sizes
    assert len(sizes) >= len(ENTRIES)


def test_an_empty_journal_knows_nothing_and_makes_no_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    assert len(journal) == 0
    assert journal.get("run") is None
    assert not journal.path.exists()


def test_who_only_reads_leaves_a_line_alone_that_is_just_being_written(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path).record("a", 1)
    whole = path.read_bytes()
    path.write_bytes(whole + b"00000000 [")
    assert Journal(path, mend=False).get("a") == 1
    assert path.read_bytes() == whole + b"00000000 ["
    assert len(Journal(path)) == 1 and path.read_bytes() == whole


@pytest.mark.skipif(os.name != "posix", reason="modes")
@pytest.mark.parametrize("private", [True, False])
def test_written_anew_it_is_as_private_as_before(tmp_path: Path, private: bool) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, private=private)
    journal.record("a", 1)
    before = path.stat().st_mode
    journal.replace({"a": 2})
    assert path.stat().st_mode == before and Journal(path).get("a") == 2
