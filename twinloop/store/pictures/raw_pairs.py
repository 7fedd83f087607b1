"""Raw photos beside the JPEG or HEIC of the same shot: the two are one photo, and the latter is used."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from twinloop.store.pictures import raw
from twinloop.store.pictures.capture_time import capture_time

PARTNERS = (".jpg", ".jpeg", ".jpe", ".heic", ".heif")
"""What cameras write beside a raw photo, first choice first."""
_SAME_SHOT = 2.0
"""Seconds; one of the two files may leave out fractions."""
BESIDE = "lies beside "
"""How the reason begins for which a raw photo is not used."""
_USED = ", the same shot, which is used"
_TAIL = 1 << 16
"""Bytes at the end of a JPEG in which its own end is looked for first: some cameras and phones put more behind it."""
_MOST_SEGMENTS = 4096
_OTHER_PICTURES = (b"\x89PNG", b"RIFF")


def beside(photo: str) -> str:
    """The reason for which a raw photo is not used."""
    name = os.fsencode(photo).decode(errors="backslashreplace")  # one that is no text could not be written down
    return f"{BESIDE}{name}{_USED}"


def is_beside(reason: str) -> bool:
    return reason.startswith(BESIDE)


def photo_beside(reason: str) -> str | None:
    """The name of the photo that is used in its place; None where the reason is another one."""
    return reason.removeprefix(BESIDE).removesuffix(_USED) if is_beside(reason) else None


def is_raw_name(name: str) -> bool:
    return Path(name).suffix.lower() in raw.SUFFIXES


def partners(raws: Iterable[str], names: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """Raw photo -> the JPEGs and HEICs among the names of its folder that are called as it is, best first."""
    found: dict[str, list[str]] = {}
    for name in raws:
        found.setdefault(Path(name).stem.casefold(), [])
    for name in names:
        path = Path(name)
        if path.suffix.lower() in PARTNERS and path.stem.casefold() in found:
            found[path.stem.casefold()].append(name)
    for called in found.values():
        called.sort(key=lambda name: (PARTNERS.index(Path(name).suffix.lower()), name))
    return {name: found[Path(name).stem.casefold()] for name in raws}


def same_shot(raw_photo: Path, photo: Path) -> bool:
    """Whether two files of one name were taken at the same time; where one does not say when, the name counts."""
    one, other = capture_time(raw_photo), capture_time(photo)
    return one is None or other is None or abs(one - other) <= _SAME_SHOT


def without_pairs(folder: Path, names: Sequence[str]) -> list[str]:
    """The names of a folder's pictures without raw photos that lie beside a JPEG or HEIC of the same shot."""
    raws = [name for name in names if is_raw_name(name)]
    if not raws:
        return list(names)
    beside_it = partners(raws, names)
    paired = {name for name in raws if any(_pair(folder / name, folder / other) for other in beside_it[name])}
    return [name for name in names if name not in paired]


def _pair(raw_photo: Path, photo: Path) -> bool:
    return photo.is_file() and is_whole(photo) and same_shot(raw_photo, photo)


def is_whole(photo: Path) -> bool:
    """Whether a JPEG or HEIC has its beginning and its end: one that was cut off holds no photo that could be used.

    Nothing is decoded; of other pictures that are called so, the beginning counts.
    """
    try:
        with open(photo, "rb") as file:
            head = file.read(12)
            if head.startswith(b"\xff\xd8\xff"):
                return _jpeg_ends(file)
            return _boxes_end(file) if head[4:8] == b"ftyp" else head.startswith(_OTHER_PICTURES)
    except OSError:
        return False


def _jpeg_ends(file: BinaryIO) -> bool:
    """Whether the end of the picture follows its segments, whose EXIF may hold a whole JPEG of its own."""
    file.seek(2)
    for _ in range(_MOST_SEGMENTS):
        segment = file.read(4)
        if len(segment) < 4 or segment[0] != 0xFF:
            return False
        if segment[1] == 0xFF:  # fills up
            file.seek(-3, os.SEEK_CUR)
            continue
        file.seek(max(0, int.from_bytes(segment[2:]) - 2), os.SEEK_CUR)
        if segment[1] == 0xDA:
            break
    begin, size = file.tell(), file.seek(0, os.SEEK_END)
    for start in (max(begin, size - _TAIL), begin):
        file.seek(start)
        if b"\xff\xd9" in file.read():
            return True
    return False


def _boxes_end(file: BinaryIO) -> bool:
    """Whether the boxes of a HEIC that describe and hold its pictures are all there."""
    size, at, lacking = file.seek(0, os.SEEK_END), 0, {b"meta", b"mdat"}
    while lacking and at < size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4])
        if length == 1:
            length = int.from_bytes(head[8:])
        if length == 0:  # up to the end
            return lacking == {head[4:8]}
        if length < 8 or at + length > size:
            return False
        lacking.discard(head[4:8])
        at += length
    return not lacking
