"""The header of a safetensors file: the one place that reads it, and the one that writes it.

Format: 8 bytes little-endian length, a JSON object of that length, then the tensors' bytes. Held to the rules of the
safetensors library: every byte behind the header belongs to one tensor, each tensor is as large as its type and shape
say, texts are texts.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

TEXTS = "__metadata__"
"""The entry of the header that is no tensor."""
BITS: Mapping[str, int] = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
"""Type -> bits of one number."""

_LENGTH = 8
_LARGEST = 100_000_000
_ALIGNED = 8
_NUMBERS_END = 1 << 64


@dataclass(frozen=True)
class Entry:
    """One tensor: its type, its sizes, and where its bytes begin and end, counted from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    first: int
    last: int


@dataclass(frozen=True)
class Header:
    """What a safetensors file says about itself.

    Attributes:
        texts: what its maker wrote into it. entries: name -> tensor, in the order of their bytes. body_at: where the
            first tensor begins in the file. missing: bytes by which the file is shorter than its tensors.
    """

    texts: Mapping[str, str]
    entries: Mapping[str, Entry]
    body_at: int
    missing: int

    def check_whole(self) -> None:
        """Raises ValueError for a file that was cut short."""
        if self.missing:
            raise ValueError(f"{self.missing:,} bytes of its tensors are missing: it was cut short")


def looks_like(head: bytes, size: int) -> bool:
    """Whether a file of ``size`` bytes that begins with ``head`` (9 bytes or more) may be a safetensors file."""
    return head[_LENGTH : _LENGTH + 1] == b"{" and 2 <= int.from_bytes(head[:_LENGTH], "little") <= size - _LENGTH


def parse(stream: BinaryIO, size: int) -> Header:
    """The header of a file of ``size`` bytes, read from its beginning; nothing behind the header is read.

    Raises:
        ValueError: it is no safetensors file, or one that the library would not load. A file that was cut short behind
            its header is one for `Header.check_whole` alone. OSError: it cannot be read.
    """
    length = int.from_bytes(_exactly(stream, _LENGTH), "little")
    if length > _LARGEST:
        raise ValueError("its header is larger than any model's")
    found = _json(_exactly(stream, length))
    texts = _texts(found.pop(TEXTS, None))
    entries = dict(sorted((_entry(name, entry) for name, entry in found.items()), key=_place))
    body_at = _LENGTH + length
    end = body_at + _end_without_gaps(entries.values())
    if size > end:
        raise ValueError("it is longer than its header says")
    return Header(texts, entries, body_at, end - size)


def of_file(path: Path) -> Header:
    """The header of a file; errors as in `parse`."""
    with open(path, "rb") as file:
        return parse(file, os.fstat(file.fileno()).st_size)


def of_bytes(data: bytes) -> Header:
    """The header of a whole file in memory.

    Raises:
        ValueError: as in `parse`, or it was cut short.
    """
    header = parse(io.BytesIO(data), len(data))
    header.check_whole()
    return header


def placed(tensors: Iterable[tuple[str, str, Sequence[int]]]) -> dict[str, Entry]:
    """Tensors, each as name, type and sizes, one behind the other as they come."""
    entries: dict[str, Entry] = {}
    at = 0
    for name, dtype, shape in tensors:
        entries[name] = Entry(dtype, tuple(shape), at, at + _nbytes(name, dtype, shape))
        at = entries[name].last
    return entries


def header_bytes(entries: Mapping[str, Entry], texts: Mapping[str, str]) -> bytes:
    """The length and the header: texts in alphabetical order, tensors in the order given; equal content gives equal
    bytes.

    The library writes texts in an order that changes from call to call. Lone surrogates (undecodable bytes of file
    names), which no reader takes, become question marks.
    """
    header: dict[str, object] = {TEXTS: dict(sorted(texts.items()))} if texts else {}
    for name, entry in entries.items():
        header[name] = {"dtype": entry.dtype, "shape": entry.shape, "data_offsets": (entry.first, entry.last)}
    body = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    # then every tensor starts at a multiple of its own size, if wide ones come first
    body += b" " * (-len(body) % _ALIGNED)
    return len(body).to_bytes(_LENGTH, "little") + body


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ValueError("its header is cut off")
    return data


def _json(raw: bytes) -> dict[str, Any]:
    if not raw.startswith(b"{"):
        raise ValueError("its header is no JSON object")
    try:
        found: dict[str, Any] = json.loads(raw.decode(), parse_constant=_no_json)  # only an object begins like that
    except RecursionError:
        raise ValueError("its header is nested too deeply") from None
    return found


def _no_json(word: str) -> None:
    raise ValueError(f"its header holds {word}, which is not JSON")


def _texts(found: object) -> dict[str, str]:
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ValueError(f"{TEXTS} in its header is no JSON object")
    return {_text(key): _text(value) for key, value in found.items()}


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise ValueError(f"{TEXTS} in its header holds something else than texts")
    found.encode()  # a lone surrogate is no text; the error is a ValueError
    return found


def _entry(name: str, found: Any) -> tuple[str, Entry]:
    _text(name)
    try:
        dtype, shape, (first, last) = found["dtype"], found["shape"], found["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"the entry of {name[:60]!r} in its header is damaged") from None
    if not isinstance(shape, list) or not all(type(n) is int and 0 <= n < _NUMBERS_END for n in (*shape, first, last)):
        raise ValueError(f"the sizes of {name[:60]!r} are no sizes")
    if last - first != _nbytes(name, dtype, shape):
        raise ValueError(f"{name[:60]!r} is not as large as its shape says")
    return name, Entry(dtype, tuple(shape), first, last)


def _nbytes(name: str, dtype: object, shape: Sequence[int]) -> int:
    if not isinstance(dtype, str) or dtype not in BITS:
        raise ValueError(f"{name[:60]!r} is of the unknown type {str(dtype)[:20]!r}")
    bits = BITS[dtype]
    for side in shape:
        bits *= side
        if bits >= _NUMBERS_END:  # at once: the product of a million numbers takes hours
            raise ValueError(f"{name[:60]!r} is larger than any tensor")
    if bits % 8:
        raise ValueError(f"{name[:60]!r} ends within a byte")
    return bits // 8


def _place(item: tuple[str, Entry]) -> tuple[int, int, str]:
    name, entry = item
    return entry.first, entry.last, name


def _end_without_gaps(entries: Iterable[Entry]) -> int:
    at = 0
    for entry in entries:
        if entry.first != at:
            raise ValueError("its tensors overlap" if entry.first < at else "bytes between its tensors belong to none")
        at = entry.last
    return at
