"""When the camera says it took a picture, read from the beginning of a file: nothing is decoded."""

from __future__ import annotations

import calendar
import os
import re
import struct
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path

from PIL import ExifTags

from twinloop.system.files import NO_WAIT

HEAD = 1 << 20
"""Bytes of a file within which its EXIF lies; where it does not, it is not looked for."""
_TIFF = rb"(?:II\*\0|MM\0\*)"
_BLOCKS = re.compile(rb"(?:Exif\0\0|CMT2)(?=" + _TIFF + rb")")
"""Before the EXIF of JPEG, HEIC and RAF; before the tags of Canon's CR3 that say when."""
_OTHER_TIFFS = (b"IIRO", b"IIRS", b"IIU\0", b"MMOR")
"""How the TIFFs of Olympus and Panasonic begin."""
_MOST_BLOCKS, _MOST_ENTRIES = 4, 512
_LONGEST = 64
"""Bytes of a value; a time has 20."""
_ASCII, _SHORT = 2, 3


def seconds_of(text: str, fraction: str = "") -> float:
    """EXIF's "2024:05:01 10:00:00" as seconds since 1970 in the camera's own time.

    Raises:
        ValueError: it is no such text.
    """
    moment = datetime.strptime(text.strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S")
    digits = fraction.strip("\0 ")
    part = float(f"0.{digits}") if digits.isascii() and digits.isdigit() else 0.0
    return calendar.timegm(moment.timetuple()) + part


def capture_time(path: Path) -> float | None:
    """As `seconds_of`; None where the file does not say it, or not at its beginning, or cannot be read."""
    try:
        with open(os.open(path, os.O_RDONLY | NO_WAIT), "rb") as file:
            told = time_tags(file.read(HEAD))
            return seconds_of(*told.values()) if told else None
    except (OSError, ValueError):
        return None


def time_tags(data: bytes) -> dict[int, str]:
    """DateTimeOriginal and SubsecTimeOriginal of the first EXIF that has them; {} = none."""
    for tags in _exif_blocks(data):
        if text := tags.get(ExifTags.Base.DateTimeOriginal):
            return {
                ExifTags.Base.DateTimeOriginal: text,
                ExifTags.Base.SubsecTimeOriginal: tags.get(ExifTags.Base.SubsecTimeOriginal, ""),
            }
    return {}


def _exif_blocks(data: bytes) -> Iterator[Mapping[int, str]]:
    if re.match(_TIFF, data):
        yield _tags(data)
    elif data.startswith(_OTHER_TIFFS):
        yield _tags((b"II*\0" if data.startswith(b"I") else b"MM\0*") + data[4:])
    for found in islice(_BLOCKS.finditer(data, 0, HEAD), _MOST_BLOCKS):
        yield _tags(data[found.end() : found.end() + (1 << 16)])


def _tags(block: bytes) -> Mapping[int, str]:
    """The texts of EXIF, with those of the directory that it lies in.

    Pillow would read every value of it, and in a hostile file a small directory can have many large ones.
    """
    order = "<" if block.startswith(b"I") else ">"
    (place,) = struct.unpack_from(f"{order}I", block, 4) if len(block) >= 8 else (0,)
    outer, exif = dict[int, str](), 0
    for tag, kind, value in _entries(block, order, place):
        if tag == ExifTags.IFD.Exif and kind != _ASCII:
            (exif,) = struct.unpack(f"{order}{'H' if kind == _SHORT else 'I'}", value[: 2 if kind == _SHORT else 4])
        elif kind == _ASCII:
            outer[tag] = _text(value)
    inner = {tag: _text(value) for tag, kind, value in _entries(block, order, exif) if kind == _ASCII}
    return {**outer, **inner}


def _entries(block: bytes, order: str, place: int) -> Iterator[tuple[int, int, bytes]]:
    """(tag, type, what can be a time of its value) of a directory; nothing of one that is longer than cameras write."""
    if place == 0 or place + 2 > len(block):
        return
    (count,) = struct.unpack_from(f"{order}H", block, place)
    if count > _MOST_ENTRIES:
        return
    for at in range(place + 2, min(place + 2 + 12 * count, len(block) - 11), 12):
        tag, kind, length, where = struct.unpack_from(f"{order}HHII", block, at)
        inside = kind != _ASCII or length <= 4
        yield tag, kind, block[at + 8 : at + 12] if inside else block[where : where + min(length, _LONGEST)]


def _text(value: bytes) -> str:
    return value.partition(b"\0")[0].decode("latin-1")
