"""The texts that image files carry beside their pixels, read without decoding any: PNG text chunks, and EXIF."""

from __future__ import annotations

import contextlib
import struct
import warnings
import zlib
from collections.abc import Iterator

from PIL import Image

_PNG, _JPEG, _EXIF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"Exif\0\0"
_HEAD = 1 << 18
"""Bytes of a JPEG within which its EXIF begins."""
_LARGEST = 8 << 20
"""Bytes of one text; a ComfyUI graph has some hundred thousand. What is longer is cut."""
_EXIF_IFD, _USER_COMMENT, _MAKE, _MODEL = 0x8769, 0x9286, 0x010F, 0x0110
_CHARSET = 8
"""Bytes that name the character set at the head of an EXIF comment."""


def png_texts(data: bytes) -> dict[str, str]:
    """Keyword -> text of all text chunks (tEXt, zTXt, iTXt) of a PNG; {} for any other file. Damaged ones are passed
    over.
    """
    found: dict[str, str] = {}
    for kind, body in _chunks(data):
        keyword, zero, rest = body.partition(b"\0")
        if not zero:
            continue
        with contextlib.suppress(zlib.error, ValueError, IndexError):
            found.setdefault(keyword.decode("latin-1"), _text(kind, rest))
    return found


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not data.startswith(_PNG):
        return
    place = len(_PNG)
    while place + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            yield kind, data[place + 8 : place + 8 + min(length, _LARGEST)]
        place += 12 + length


def _text(kind: bytes, rest: bytes) -> str:
    if kind == b"tEXt":
        return rest.decode("latin-1")
    if kind == b"zTXt":
        return _inflated(rest[1:]).decode("latin-1")
    packed, language_on = rest[0], rest[2:]
    _, _, translated_on = language_on.partition(b"\0")
    _, _, text = translated_on.partition(b"\0")
    return (_inflated(text) if packed else text).decode("utf-8", "replace")


def _inflated(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data, _LARGEST)


def exif_of(data: bytes) -> str:
    """The comment, make and model in the EXIF of a JPEG or WebP, a line each; "" where there are none, or none that can
    be read.
    """
    block = _exif_block(data)
    if not block:
        return ""
    exif = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged ones, which are no news here
            exif.load(block)
            told = [exif.get_ifd(_EXIF_IFD).get(_USER_COMMENT), exif.get(_MAKE), exif.get(_MODEL)]
    except (SyntaxError, ValueError, TypeError, OSError, LookupError, EOFError, struct.error):
        return ""
    return "\n".join(text for one in told if (text := _comment(one)))


def _exif_block(data: bytes) -> bytes:
    """The EXIF as it stands in the file, which is not opened: the size of the picture does not matter here."""
    if data.startswith(_JPEG):
        place = data.find(_EXIF, 0, _HEAD)
        return data[place : place + (1 << 16)] if place > 0 else b""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        place = 12
        while place + 8 <= len(data):
            kind, length = struct.unpack("<4sI", data[place : place + 8])
            if kind == b"EXIF":
                return data[place + 8 : place + 8 + min(length, _LARGEST)]
            place += 8 + length + length % 2
    return b""


def _comment(value: object) -> str:
    """An EXIF comment begins with its character set; of UTF-16 writers do not agree on the order of bytes."""
    if isinstance(value, str):
        return value
    if not isinstance(value, bytes):
        return ""
    charset, text = value[:_CHARSET], value[_CHARSET:]
    if not charset.startswith(b"UNICODE"):
        return text.decode("utf-8", "replace")
    zeros_first = text[0::2].count(0) >= text[1::2].count(0)
    return text.decode("utf-16-be" if zeros_first else "utf-16-le", "replace")
