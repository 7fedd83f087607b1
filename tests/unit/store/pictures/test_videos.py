"""Video files: known by their beginning, dated by their header; pictures out of them say when they were taken."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.videos import fake_video, set_creation_time
from twinloop.errors import UnreadableImage
from twinloop.store.pictures.photo_file import decode_small
from twinloop.store.pictures.videos import check_video, creation_time, find_videos, frame_jpeg

JUNE = 1_750_000_000


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v", ".mkv", ".avi", ".3gp"])
def test_videos_of_every_container_pass(tmp_path: Path, suffix: str) -> None:
    check_video(fake_video(tmp_path / f"a{suffix}", [0.0]))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"#EXTM3U\nhttp://example.org/a.ts\n", "no video of a kind this tool opens"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "no video of a kind this tool opens"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", "no video of a kind this tool opens"),
    ],
)
def test_what_only_calls_itself_a_video_is_never_decoded(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(UnreadableImage, match=reason):
        check_video(tmp_path / "a.mp4")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="no regular file"):
        check_video(tmp_path)
    with pytest.raises(UnreadableImage, match="cannot be read"):
        check_video(tmp_path / "gone.mp4")


def test_the_container_tells_when_it_was_taken(tmp_path: Path) -> None:
    video = fake_video(tmp_path / "a.mp4", [0.0])
    assert creation_time(video) is None  # OpenCV writes none
    set_creation_time(video, JUNE)
    assert creation_time(video) == JUNE


def test_long_boxes_and_long_times_are_read(tmp_path: Path) -> None:
    header = struct.pack(">I4sB3xQQ", 28, b"mvhd", 1, JUNE + 2_082_844_800, 0)
    movie = struct.pack(">I4sQ", 1, b"moov", 16 + len(header)) + header
    (tmp_path / "a.mov").write_bytes(struct.pack(">I4s", 12, b"wide") + bytes(4) + movie)
    assert creation_time(tmp_path / "a.mov") == JUNE


@pytest.mark.parametrize("content", [b"", b"\x00", struct.pack(">I4s", 0, b"moov"), bytes(64), b"\xff" * 64])
def test_damaged_headers_tell_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    assert creation_time(tmp_path / "a.mp4") is None


def test_videos_are_found_by_name_hidden_ones_are_not(tmp_path: Path) -> None:
    for name in ("b.MP4", "a.mov", ".c.mp4", "deep/d.webm", ".hidden/e.mp4", "f.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [path.relative_to(tmp_path).as_posix() for path in find_videos(tmp_path)] == [
        "a.mov",
        "b.MP4",
        "deep/d.webm",
    ]


def test_a_picture_keeps_its_time_to_the_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        data = frame_jpeg(np.zeros((16, 16, 3), np.uint8), JUNE + 2.25)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert decode_small(data, 16).taken == JUNE + 5.5 * 3600 + 2.25
    assert b"+05:30" in data
