"""A large file is read once for its hash, and again where it is another."""

from __future__ import annotations

import hashlib
import os
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
    return found


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
def test_a_damaged_note_is_none(damage: bytes, tmp_path: Path, reads: list[str]) -> None:
    file = tmp_path / "base.safetensors"
    file.write_bytes(b"one")
    remembered_sha256(file)
    (note,) = (path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    note.write_bytes(damage)
    assert remembered_sha256(file) == digest(b"one") and len(reads) == 2


def test_without_a_cache_it_is_read_each_time(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINLOOP_CACHE", "off")
    file = tmp_path / "base.safetensors"
    file.write_bytes(b"one")
    assert [remembered_sha256(file) for _ in range(2)] == [digest(b"one")] * 2 and len(reads) == 2
