"""The XMP packets of an image file, found by its structure: pixels are skipped, not read."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

LARGEST = 4 << 20
"""Bytes of all packets of a file; a longer one is none. Settings of Lightroom can make some hundred thousand."""
MOST = 4
"""Packets that are read of a file; programs write one, or a few where they are long."""
_STEPS = 1 << 16
"""Parts of a file that are looked at: chunks of a PNG, segments of a JPEG, places of a HEIC."""
_XMP, _MORE_XMP = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_GUID = 32
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEYWORD = b"XML:com.adobe.xmp\0"
_TIFF_TAG = 700


def xmp_packets(file: BinaryIO) -> Iterator[bytes]:
    """The first packets of a JPEG, PNG, WebP, TIFF, HEIC or AVIF, one by one; none of a file that is damaged, or
    another.

    Raises:
        OSError: the file cannot be read.
    """
    left = LARGEST
    try:
        for packet in islice(_packets(file), MOST):
            left -= len(packet)
            if left < 0:
                return
            yield packet
    except (struct.error, ValueError, OverflowError, LookupError, zlib.error):
        return


def _packets(file: BinaryIO) -> Iterator[bytes]:
    head = _part(file, 0, 12)
    if head.startswith(b"\xff\xd8"):
        return _of_jpeg(file)
    if head.startswith(_PNG):
        return _of_png(file)
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return _of_webp(file)
    if head[:2] in (b"II", b"MM"):
        return _of_tiff(file, "<" if head.startswith(b"II") else ">")
    if head[4:8] == b"ftyp":
        return _of_heif(file)
    return iter(())


def _part(file: BinaryIO, place: int, length: int) -> bytes:
    if place >> 62 or not 0 <= length <= LARGEST:
        raise ValueError("no part of a file")
    file.seek(place)
    return file.read(length)


def _of_jpeg(file: BinaryIO) -> Iterator[bytes]:
    """Segments before the pixels. A packet of more than 64 KB goes on in further ones, which name it by a GUID."""
    place, main, more, length_of_more = 2, b"", dict[bytes, dict[int, bytes]](), 0
    for _ in range(_STEPS):
        marker = _part(file, place, 4)
        if len(marker) < 4 or marker[0] != 0xFF or marker[1] in (0xDA, 0xD9):
            break
        if marker[1] == 0xFF:  # a filling byte
            place += 1
            continue
        length = int.from_bytes(marker[2:], "big")
        if marker[1] == 0xE1:
            head = _part(file, place + 4, len(_MORE_XMP))
            if head.startswith(_XMP) and not main:
                main = _part(file, place + 4, length - 2)[len(_XMP) :]
            elif head == _MORE_XMP:
                guid, offset, data = _extension(_part(file, place + 4, length - 2)[len(_MORE_XMP) :])
                length_of_more += len(data)
                if length_of_more <= LARGEST and (guid in more or len(more) < MOST):
                    more.setdefault(guid, {})[offset] = data
        place += 2 + max(2, length)
    if main:
        yield main
    yield from (_joined(parts) for guid, parts in more.items() if guid in main)


def _extension(body: bytes) -> tuple[bytes, int, bytes]:
    return body[:_GUID], *struct.unpack(">I", body[_GUID + 4 : _GUID + 8]), body[_GUID + 8 :]


def _joined(parts: dict[int, bytes]) -> bytes:
    return b"".join(data for _, data in sorted(parts.items()))


def _of_png(file: BinaryIO) -> Iterator[bytes]:
    place = len(_PNG)
    for _ in range(_STEPS):
        head = _part(file, place, 8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        length, kind = struct.unpack(">I4s", head)
        if kind == b"iTXt" and length <= LARGEST and _part(file, place + 8, len(_PNG_KEYWORD)) == _PNG_KEYWORD:
            rest = _part(file, place + 8, length)[len(_PNG_KEYWORD) :]
            text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
            yield zlib.decompressobj().decompress(text, LARGEST) if rest[0] else text
        place += 12 + length


def _of_webp(file: BinaryIO) -> Iterator[bytes]:
    place = 12
    for _ in range(_STEPS):
        head = _part(file, place, 8)
        if len(head) < 8:
            return
        kind, length = struct.unpack("<4sI", head)
        if kind == b"XMP " and length <= LARGEST:
            yield _part(file, place + 8, length)
        place += 8 + length + length % 2


def _of_tiff(file: BinaryIO, order: str) -> Iterator[bytes]:
    """The first folder of tags; raw photos of most cameras have one, too."""
    (place,) = struct.unpack(f"{order}I", _part(file, 4, 4))
    (count,) = struct.unpack(f"{order}H", _part(file, place, 2))
    tags = _part(file, place + 2, 12 * count)
    for at in range(0, len(tags) - 11, 12):
        tag, _, length, where = struct.unpack(f"{order}HHII", tags[at : at + 12])
        if tag == _TIFF_TAG and 4 < length <= LARGEST:
            yield _part(file, where, length)
            return


def _of_heif(file: BinaryIO) -> Iterator[bytes]:
    """Items of the kind XMP, as the box of metadata lists them (ISO/IEC 14496-12, 8.11)."""
    place = 0
    for _ in range(64):
        kind, start, end = _box(_part(file, place, 16), place)
        if kind == b"meta":
            meta = _part(file, start, min(end - start, LARGEST))
            boxes = dict(_boxes(meta, 4))
            ids = set(islice(_xmp_items(boxes.get(b"iinf", b"")), MOST))
            for item, in_box, offset, length in islice(_extents(boxes.get(b"iloc", b"")), _STEPS):
                if item in ids and length <= LARGEST:
                    idat = boxes.get(b"idat", b"")
                    yield idat[offset : offset + length] if in_box else _part(file, offset, length)
            return
        place = end


def _box(head: bytes, place: int) -> tuple[bytes, int, int]:
    """Kind of the box that lies at a place, and where its contents begin and end."""
    length, kind = struct.unpack(">I4s", head[:8])
    start = place + 8
    if length == 1:
        (length,) = struct.unpack(">Q", head[8:16])
        start = place + 16
    if place + length < start:
        raise ValueError("a box without an end")
    return kind, start, place + length


def _boxes(data: bytes, place: int) -> Iterator[tuple[bytes, bytes]]:
    while place + 8 <= len(data):
        kind, start, place = _box(data[place : place + 16], place)
        yield kind, data[start:place]


def _xmp_items(iinf: bytes) -> Iterator[int]:
    for kind, body in _boxes(iinf, 6 if iinf[:1] == b"\0" else 8):
        wide = body[:1] == b"\3"
        after = 8 if wide else 6
        if kind == b"infe" and body[:1] in (b"\2", b"\3") and body[after + 2 : after + 6] == b"mime":
            content = body[after + 6 :].split(b"\0")[1:2]
            if content == [b"application/rdf+xml"]:
                yield int.from_bytes(body[4:after], "big")


def _extents(iloc: bytes) -> Iterator[tuple[int, bool, int, int]]:
    """(item, whether it lies in the box ``idat``, offset, length) of items in one piece."""
    version, sizes = iloc[0], iloc[4:6]
    offset_size, length_size, base_size = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    index_size = sizes[1] & 15 if version else 0
    id_size = 4 if version == 2 else 2
    reader = _Numbers(iloc, 6)
    for _ in range(reader.next(id_size)):
        item = reader.next(id_size)
        method = reader.next(2) & 15 if version else 0
        reader.next(2)
        base, pieces = reader.next(base_size), reader.next(2)
        if pieces > 1 and not index_size + offset_size + length_size:
            raise ValueError("pieces of no size")
        for _ in range(pieces):
            reader.next(index_size)
            offset, length = base + reader.next(offset_size), reader.next(length_size)
            if pieces == 1 and method in (0, 1):
                yield item, method == 1, offset, length


class _Numbers:
    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place

    def next(self, size: int) -> int:
        """The next number of so many bytes, 0 of none."""
        if self._place + size > len(self._data):
            raise ValueError("the list ends too early")
        self._place += size
        return int.from_bytes(self._data[self._place - size : self._place], "big")
