"""A large file is read once for its hash, and again where it is another."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from twinloop.store import remembered_hash
from twinloop.store.remembered_hash import remembered_sha256


@pytest.fixture
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read."""
    found: list[str] = []
    real = remembered_hash.sha256_file
    monkeypatch.setattr(remembered_hash, "sha256_file", lambda path: found.append(path.name) or real(path))
    monkeypatch.setenv("TWINLOOP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remembered_hash, "_read", {})
    return found


@pytest.fixture
def another_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forgets what this one read."""
    return lambda: monkeypatch.setattr(remembered_hash, "_read", {})


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_it_is_read_again_where_size_or_time_are_others(tmp_path: Path, reads: list[str]) -> None:
    file, other = tmp_path / "base.safetensors", tmp_path / "other.safetensors"
    file.write_bytes(b"one")
    other.write_bytes(b"other")
    assert [remembered_sha256(file) for _ in range(3)] == [digest(b"one")] * 3 and len(reads) == 1
    assert remembered_sha256(other) == digest(b"other") and len(reads) == 2
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert remembered_sha256(file) == digest(b"two") and len(reads) == 3
    file.write_bytes(b"three")
    os.utime(file, ns=(1, 1))
    assert [remembered_sha256(file) for _ in range(2)] == [digest(b"three")] * 2 and len(reads) == 4
    assert not any("base" in path.name for path in (tmp_path / "cache").rglob("*")), "file names may name people"


@pytest.mark.parametrize("damage", [b"", b"[]", b"{", b'{"sha256": 3}'])
def test_a_damaged_note_is_none(
    damage: bytes, tmp_path: Path, reads: list[str], another_process: Callable[[], None]
) -> None:
    file = tmp_path / "base.safetensors"
    file.write_bytes(b"one")
    remembered_sha256(file)
    (note,) = (path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    note.write_bytes(damage)
    another_process()
    assert remembered_sha256(file) == digest(b"one") and len(reads) == 2


def test_the_note_serves_the_next_process(
    tmp_path: Path, reads: list[str], another_process: Callable[[], None]
) -> None:
    file = tmp_path / "base.safetensors"
    file.write_bytes(b"one")
    remembered_sha256(file)
    another_process()
    assert remembered_sha256(file) == digest(b"one") and len(reads) == 1


@pytest.mark.parametrize("cache", ["off", "a file"])
def test_without_a_cache_each_process_reads_it_once(
    cache: str,
    tmp_path: Path,
    reads: list[str],
    another_process: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "no_folder").write_bytes(b"")
    monkeypatch.setenv("TWINLOOP_CACHE", cache if cache == "off" else str(tmp_path / "no_folder" / "cache"))
    file = tmp_path / "base.safetensors"
    file.write_bytes(b"one")
    assert [remembered_sha256(file) for _ in range(2)] == [digest(b"one")] * 2 and len(reads) == 1
    file.write_bytes(b"another")
    assert [remembered_sha256(file) for _ in range(2)] == [digest(b"another")] * 2 and len(reads) == 2
    another_process()
    assert remembered_sha256(file) == digest(b"another") and len(reads) == 3
