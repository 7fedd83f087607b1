"""When a picture was taken, out of files that nobody vouches for."""

from __future__ import annotations

import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from twinloop.store.pictures.capture_time import seconds_of, time_tags

TAKEN, MAY_1 = "2024:05:01 10:00:00", 1714557600.0


def block(endian: str = "<", more: int = 0, fraction: str = "") -> bytes:
    """EXIF as Pillow writes it, with ``more`` further tags."""
    exif = Image.Exif()
    exif.endian = endian
    tags = exif.get_ifd(ExifTags.IFD.Exif)
    tags[ExifTags.Base.DateTimeOriginal] = TAKEN
    if fraction:
        tags[ExifTags.Base.SubsecTimeOriginal] = fraction
    for number in range(more):
        exif[50_000 + number] = number
    return exif.tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("endian", "<>")
@pytest.mark.parametrize(("fraction", "part"), [("", 0), ("5", 0.5), ("250000", 0.25)])
def test_the_time_and_its_fraction(endian: str, fraction: str, part: float) -> None:
    for head in (b"", b"\xff\xd8\xff\xe1\0\0Exif\0\0"):
        assert seconds_of(*time_tags(head + block(endian, fraction=fraction)).values()) == MAY_1 + part


def test_a_directory_longer_than_any_camera_writes_is_not_read() -> None:
    assert time_tags(block(more=500)) and time_tags(block(more=600)) == {}


def test_few_blocks_are_read() -> None:
    empty = b"Exif\0\0II*\0\0\0\0\0"
    assert time_tags(empty * 3 + b"Exif\0\0" + block()) and time_tags(empty * 4 + b"Exif\0\0" + block()) == {}


def test_many_blocks_with_one_long_directory_cost_nothing() -> None:
    entries = 512
    directory = struct.pack("<H", entries) + struct.pack("<HHII", 1, 7, 60_000, 8) * entries + bytes(4)
    heads = 4_000
    blocks = (b"Exif\0\0II*\0" + struct.pack("<I", 14 * (heads - number) - 6) for number in range(heads))
    began = time.monotonic()
    assert time_tags((b"".join(blocks) + directory) * 16) == {}
    assert time.monotonic() - began < 2


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 120), st.binary(min_size=1, max_size=8)), max_size=5), st.integers(0, 120))
def test_damaged_exif_never_raises(damage: list[tuple[int, bytes]], length: int) -> None:
    data = bytearray(block(fraction="5")[:length])
    for place, piece in damage:
        data[place : place + len(piece)] = piece
    for head in (b"", b"Exif\0\0", b"IIRO"):
        assert all(isinstance(text, str) for text in time_tags(head + bytes(data)).values())
