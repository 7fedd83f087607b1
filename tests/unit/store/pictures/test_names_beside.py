"""Which files beside a photo may name people."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from twinloop.store.pictures.names_beside import Folder, contents


def found(folder: Path, photo: str) -> list[str]:
    return [beside.path.name for beside in Folder(folder).beside(photo)]


@pytest.mark.parametrize(
    ("photo", "beside"),
    [
        ("a.jpg", "a.jpg.xmp"),
        ("a.jpg", "a.xmp"),
        ("a.jpg", "a.XMP"),
        ("a.b.jpg", "a.b.xmp"),
        ("a.jpg", "a.jpg.json"),
        ("a.jpg", "a.jpg.supplemental-metadata.json"),
        ("a.jpg", "a.jpg.supplemen.json"),
        ("a(1).jpg", "a.jpg(1).json"),
        ("a(1).jpg", "a.jpg.supplemental-metadata(1).json"),
        ("a(1).jpg", "a(1).jpg.json"),
        ("x" * 50 + ".jpg", "x" * 46 + ".json"),
    ],
)
def test_what_belongs_to_a_photo(tmp_path: Path, photo: str, beside: str) -> None:
    for name in (photo, beside, "b.jpg.xmp", "ab.xmp", "c.json", "metadata.json", "a.jpg(2).json"):
        (tmp_path / name).write_bytes(b"x")
    assert found(tmp_path, photo) == [beside]


def test_both_names_of_a_sidecar(tmp_path: Path) -> None:
    for name in ("a.jpg.xmp", "a.xmp"):
        (tmp_path / name).write_bytes(b"x")
    assert found(tmp_path, "a.jpg") == ["a.jpg.xmp", "a.xmp"]


def test_the_stamp_tells_a_change(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    path.write_bytes(b"x")
    before = [beside.stamp for beside in Folder(tmp_path).beside("a.jpg")]
    path.write_bytes(b"xy")
    assert [beside.stamp for beside in Folder(tmp_path).beside("a.jpg")] != before


def test_what_is_no_file_or_too_large_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.xmp").mkdir()
    with (tmp_path / "b.xmp").open("wb") as large:
        large.truncate(5 << 20)
    (tmp_path / "c.xmp").symlink_to("nowhere")
    assert [found(tmp_path, f"{name}.jpg") for name in "abc"] == [[], [], []]
    assert found(tmp_path / "missing", "a.jpg") == []
    assert contents(tmp_path / "a.xmp") is None and contents(tmp_path / "c.xmp") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.xmp")
    assert found(tmp_path, "a.jpg") == [] and contents(tmp_path / "a.xmp") is None
