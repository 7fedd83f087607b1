"""Video files: which are some, when they were taken, and pictures out of them as files."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image

from twinloop.domain.faces import ImageArray
from twinloop.errors import UnreadableImage
from twinloop.store.pictures.signatures import what_else

SUFFIXES = frozenset(".mp4 .mov .m4v .3gp .webm .mkv .avi".split())
QUALITY = 95
"""Of the JPEGs. A video is compressed already: at this quality, without thinning out the colours once more, nothing is
lost that it held, in a fraction of a PNG's size; and every program reads the time out of a JPEG."""

_QUICKTIME = frozenset((b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"))
_MATROSKA = b"\x1aE\xdf\xa3"
_SINCE_1904 = 2_082_844_800
"""Seconds from 1904, where QuickTime begins to count, to 1970."""


def find_videos(folder: Path) -> Iterator[Path]:
    """Videos under ``folder`` by their names, sorted; hidden ones are left out, links to folders are not followed."""
    for top, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(top) / name


def check_video(path: Path) -> None:
    """Look at the beginning of a file before a decoder does: playlists, which name other files and addresses, look like
    videos to some.

    Raises:
        UnreadableImage: it cannot be read, or is no video of a kind that is opened.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableImage("is no regular file")
        with open(path, "rb") as file:
            head = file.read(512)
    except OSError as error:
        raise UnreadableImage(f"cannot be read: {error.strerror or error}") from error
    if not head:
        raise UnreadableImage("is empty")
    avi = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    if not (avi or head[4:8] in _QUICKTIME or head.startswith(_MATROSKA)):
        raise UnreadableImage(what_else(head).replace("no picture", "no video"))


def creation_time(path: Path) -> float | None:
    """When the container says the video was taken, seconds since 1970; None = it does not say, or is no QuickTime and
    no MP4.
    """
    try:
        with open(path, "rb") as file:
            return _movie_time(file, path.stat().st_size)
    except OSError:
        return None


def _movie_time(file: BinaryIO, size: int) -> float | None:
    for kind, start, end in _boxes(file, 0, size):
        if kind == b"moov":
            for inner, begins, _ in _boxes(file, start, end):
                if inner == b"mvhd":
                    file.seek(begins)
                    head = file.read(12)
                    seconds = int.from_bytes(head[4:12] if head[:1] == b"\x01" else head[4:8], "big") - _SINCE_1904
                    # zero is "not known", as is what would not be a date
                    return float(seconds) if 0 < seconds < _SINCE_1904 * 2 else None
    return None


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, begin and end of the content) of the boxes between two places of an MP4."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        size, kind, skip = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, skip = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:
            size = end - start
        if len(head) < 8 or size < skip:
            return
        yield kind, start + skip, min(start + size, end)
        start += size


def frame_jpeg(image: ImageArray, taken: float) -> bytes:
    """A picture as a JPEG that says when it was taken.

    Args:
        taken: seconds since 1970; written in the local time of this computer, as cameras do, with its offset.
    """
    moment = datetime.fromtimestamp(max(taken, 0.0), UTC).astimezone()
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.DateTimeOriginal: moment.strftime("%Y:%m:%d %H:%M:%S"),
            ExifTags.Base.SubsecTimeOriginal: f"{moment.microsecond // 1000:03d}",
            ExifTags.Base.OffsetTimeOriginal: f"{moment:%z}"[:3] + ":" + f"{moment:%z}"[3:5],
        }
    )
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=QUALITY, subsampling=0, exif=exif)
    return buffer.getvalue()
