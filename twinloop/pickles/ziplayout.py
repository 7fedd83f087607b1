"""Zip files read strictly: every byte belongs to one entry, and both descriptions of an entry say the same.

A zip describes each entry twice (before its data, and in the directory at the end), and readers differ in whom they
believe. A file in which the two disagree, or which holds bytes that belong to nothing, can look harmless to one reader
and act in another; torch writes none. Format: PKWARE APPNOTE 6.3.10, with zip64.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from twinloop.errors import ModelFileError

_END, _END64, _LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_CENTRAL, _LOCAL = b"PK\x01\x02", b"PK\x03\x04"
_END_SIZE, _END64_SIZE, _LOCATOR_SIZE, _CENTRAL_SIZE, _LOCAL_SIZE = 22, 56, 20, 46, 30
_MANY16, _MANY32 = 0xFFFF, 0xFFFFFFFF
_MAX_ENTRIES = 200_000
_ENCRYPTED = 0x1 | 0x40
_HAS_DESCRIPTOR = 0x8
_DESCRIPTOR_SIZES = (12, 16, 20, 24)
STORED, DEFLATED = 0, 8
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One file in the zip. Sizes in bytes; ``start`` is its local header, ``data`` its first byte."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    start: int
    data: int


class ZipLayout:
    """The entries of a zip file, and their bytes.

    Args:
        stream: the whole file; stays the caller's. source: how messages call it.

    Raises:
        ModelFileError: not a zip, or cut short. What is merely dishonest is in ``problems``, so that an inspector can
            look on.
    """

    def __init__(self, stream: BinaryIO, source: str) -> None:
        self._stream, self._source = stream, source
        self.problems: list[str] = []
        try:
            count, size, start, end = self._end()
            self.entries = tuple(self._directory(count, size, start))
        except struct.error as error:
            raise ModelFileError(f"{source}: its list of entries is damaged. Download it again.") from error
        self._check(start, size, end)

    def read(self, entry: Entry, limit: int) -> bytes:
        """The bytes of an entry, checked against its CRC; encryption flags are ignored, as hostile files set them
        without encrypting.

        Raises:
            ModelFileError: larger than ``limit`` or than it says, damaged, or packed in an unknown way.
        """
        if max(entry.size, entry.packed) > limit:
            raise ModelFileError(f"{self._source}: {entry.name!r} has {entry.size} bytes; no model file needs that")
        self._stream.seek(entry.data)
        data = self._stream.read(entry.packed)
        if entry.method == DEFLATED:
            data = _inflate(data, entry, self._source)
        elif entry.method != STORED:
            raise ModelFileError(f"{self._source}: {entry.name!r} is packed in a way that torch never uses")
        if len(data) != entry.size or zlib.crc32(data) != entry.crc:
            raise damaged(self._source, entry.name)
        return data

    def starts_with(self, entry: Entry, mark: bytes) -> bool:
        """Whether a stored entry begins with these bytes."""
        return entry.method == STORED and self._at(entry.data, min(len(mark), entry.packed)) == mark

    def check_stored(self, entry: Entry) -> None:
        """Raises ModelFileError when the checksum of a stored entry is wrong; reads it in blocks.

        Packed ones are left alone.
        """
        if entry.method != STORED:
            return
        self._stream.seek(entry.data)
        crc, left = 0, entry.packed
        while left > 0:
            block = self._stream.read(min(_BLOCK, left))
            if not block:
                break
            crc, left = zlib.crc32(block, crc), left - len(block)
        if left or crc != entry.crc:
            raise damaged(self._source, entry.name)

    # -- the directory -----------------------------------------------------------------------------------------------
    def _at(self, position: int, size: int) -> bytes:
        self._stream.seek(max(position, 0))
        return self._stream.read(size)

    def _end(self) -> tuple[int, int, int, int]:
        """Number of entries, size and start of the directory, and where the end records begin."""
        length = self._stream.seek(0, 2)
        tail_start = max(0, length - _END_SIZE - _MANY16)
        tail = self._at(tail_start, length)
        found = tail.rfind(_END)
        if found < 0:
            raise ModelFileError(
                f"{self._source}: a zip without its end; the download was cut short. Download it again."
            )
        position = tail_start + found
        count, size, start, comment = struct.unpack("<10xHIIH", tail[found : found + _END_SIZE])
        if comment or position + _END_SIZE != length:
            self.problems.append("bytes follow the end of the zip")
        locator = self._at(position - _LOCATOR_SIZE, _LOCATOR_SIZE) if position >= _LOCATOR_SIZE else b""
        if not locator.startswith(_LOCATOR):
            return count, size, start, position
        (where,) = struct.unpack("<8xQ4x", locator)
        end64 = self._at(where, _END64_SIZE)
        if not end64.startswith(_END64) or where + _END64_SIZE != position - _LOCATOR_SIZE:
            raise ModelFileError(f"{self._source}: its list of entries is damaged. Download it again.")
        count64, size64, start64 = struct.unpack("<32xQQQ", end64)
        for small, large, most in ((count, count64, _MANY16), (size, size64, _MANY32), (start, start64, _MANY32)):
            if small not in (most, large):
                self.problems.append("two end records disagree")
        return count64, size64, start64, where

    def _directory(self, count: int, size: int, start: int) -> Iterator[Entry]:
        if count > _MAX_ENTRIES or size > _MAX_ENTRIES * (_CENTRAL_SIZE + 512):
            raise ModelFileError(f"{self._source}: {count} entries; this is no model file")
        data, at = self._at(start, size), 0
        for _ in range(count):
            if data[at : at + 4] != _CENTRAL:
                raise ModelFileError(f"{self._source}: its list of entries is damaged. Download it again.")
            fields = struct.unpack("<8xHH4xIIIHHH8xI", data[at : at + _CENTRAL_SIZE])
            flags, method, crc, packed, full, name_size, extra_size, comment_size, where = fields
            at += _CENTRAL_SIZE
            name, extra = data[at : at + name_size], data[at + name_size : at + name_size + extra_size]
            at += name_size + extra_size + comment_size
            full, packed, where = _wide(extra, full, packed, where)
            yield self._entry(name, Entry("", flags, method, crc, packed, full, where, 0))
        if at != size:
            self.problems.append("the list of entries is longer than its entries")

    def _entry(self, name: bytes, told: Entry) -> Entry:
        """The entry with its place, after a look at what its local header says."""
        head = self._at(told.start, _LOCAL_SIZE)
        if not head.startswith(_LOCAL) or len(head) < _LOCAL_SIZE:
            raise ModelFileError(f"{self._source}: an entry is not where its list says. Download it again.")
        flags, method, crc, packed, full, name_size, extra_size = struct.unpack("<6xHH4xIIIHH", head)
        rest = self._at(told.start + _LOCAL_SIZE, name_size + extra_size)
        full, packed, _ = _wide(rest[name_size:], full, packed, 0)
        shown = name.decode("utf-8", "replace")
        later = bool(flags & _HAS_DESCRIPTOR)
        same = ((told.crc, crc), (told.packed, packed), (told.size, full))
        if rest[:name_size] != name:
            self.problems.append(f"{shown[:60]!r} has another name in front of its data")
        if (flags, method) != (told.flags, told.method) or any(b != a and not (later and b == 0) for a, b in same):
            self.problems.append(f"{shown[:60]!r} is described in two ways that disagree")
        if (flags | told.flags) & _ENCRYPTED:
            self.problems.append(f"{shown[:60]!r} is marked as encrypted, which torch never does")
        data = told.start + _LOCAL_SIZE + name_size + extra_size
        return Entry(shown, told.flags, told.method, told.crc, told.packed, told.size, told.start, data)

    def _check(self, start: int, size: int, end: int) -> None:
        """No gaps, no overlaps, no double names, no way out of the folder."""
        at = 0
        for entry in sorted(self.entries, key=lambda e: e.start):
            if not self._follows(entry.start, at):
                self.problems.append(f"bytes before {entry.name[:60]!r} belong to no entry, or to two")
            at = entry.data + entry.packed
            self._descriptor = bool(entry.flags & _HAS_DESCRIPTOR)
        if not self._follows(start, at) or start + size != end:
            self.problems.append("bytes before the list of entries belong to no entry, or to two")
        names = [entry.name for entry in self.entries]
        if len({name.casefold() for name in names}) != len(names):  # torch's reader takes DATA.PKL for data.pkl
            self.problems.append("two entries have the same name")
        for name in names:
            if name.startswith("/") or "\\" in name or ":" in name or "\0" in name or ".." in PurePosixPath(name).parts:
                self.problems.append(f"an entry points outside the file: {name[:60]!r}")

    _descriptor = False

    def _follows(self, position: int, end: int) -> bool:
        return position == end or (self._descriptor and position - end in _DESCRIPTOR_SIZES)


def damaged(source: str, name: str) -> ModelFileError:
    """The error for an entry whose checksum is wrong."""
    return ModelFileError(f"{source}: {name!r} is damaged (its checksum is wrong). Download it again.")


def _wide(extra: bytes, full: int, packed: int, where: int) -> tuple[int, int, int]:
    """Sizes and place with those that do not fit 32 bits taken from the zip64 field."""
    at, values = 0, [full, packed, where]
    while at + 4 <= len(extra):
        kind, size = struct.unpack("<HH", extra[at : at + 4])
        if kind == 1:
            wide = list(struct.unpack(f"<{size // 8}Q", extra[at + 4 : at + 4 + size // 8 * 8]))
            for index in range(3):
                if values[index] == _MANY32 and wide:
                    values[index] = wide.pop(0)
        at += 4 + size
    return values[0], values[1], values[2]


def _inflate(data: bytes, entry: Entry, source: str) -> bytes:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        unpacked = unpacker.decompress(data, entry.size + 1)
    except zlib.error as error:
        raise ModelFileError(f"{source}: {entry.name!r} is damaged ({error}). Download it again.") from error
    if not unpacker.eof or unpacker.unused_data:
        raise damaged(source, entry.name)
    return unpacked
