"""When the camera says it took a picture, read from the beginning of a file: nothing is decoded."""

from __future__ import annotations

import calendar
import os
import re
import struct
import warnings
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from PIL import ExifTags, Image

from twinloop.system.files import NO_WAIT

HEAD = 1 << 20
"""Bytes of a file within which its EXIF lies; where it does not, it is not looked for."""
_TIFF = rb"(?:II\*\0|MM\0\*)"
_BLOCKS = re.compile(rb"(?:Exif\0\0|CMT2)(?=" + _TIFF + rb")")
"""Before the EXIF of JPEG, HEIC and RAF; before the tags of Canon's CR3 that say when."""
_OTHER_TIFFS = (b"IIRO", b"IIRS", b"IIU\0", b"MMOR")
"""How the TIFFs of Olympus and Panasonic begin."""
_DAMAGED = (SyntaxError, ValueError, TypeError, OSError, LookupError, EOFError, AttributeError, struct.error)


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
        if text := str(tags.get(ExifTags.Base.DateTimeOriginal, "")):
            return {
                ExifTags.Base.DateTimeOriginal: text,
                ExifTags.Base.SubsecTimeOriginal: str(tags.get(ExifTags.Base.SubsecTimeOriginal, "")),
            }
    return {}


def _exif_blocks(data: bytes) -> Iterator[Mapping[int, object]]:
    if re.match(_TIFF, data):
        yield _tags(data)
    elif data.startswith(_OTHER_TIFFS):
        yield _tags((b"II*\0" if data.startswith(b"I") else b"MM\0*") + data[4:])
    for found in _BLOCKS.finditer(data, 0, HEAD):
        yield _tags(data[found.end() : found.end() + (1 << 16)])


def _tags(block: bytes) -> Mapping[int, object]:
    """The tags of EXIF, with those of the directory that it lies in."""
    exif = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged ones, which are no news here
            exif.load(block)
            return {**exif, **exif.get_ifd(ExifTags.IFD.Exif)}
    except _DAMAGED:
        return {}
