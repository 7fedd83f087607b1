"""Photos without what cameras and programs wrote into them (places, names, thumbnails), their pixels untouched."""

from __future__ import annotations

import io
import struct
from pathlib import Path

from PIL import ExifTags, Image

from twinloop.foreign.pictures import converted
from twinloop.store.provenance import is_marked_synthetic

_SCAN = 0xDA
_KEPT_SEGMENTS = (0xE0, 0xE2, 0xEE)
"""JPEG's application segments that say how to show the pixels: JFIF, colour profile, Adobe's colour transform."""
_KEPT_CHUNKS = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD"}
)
_PNG = b"\x89PNG\r\n\x1a\n"


def shareable(path: Path) -> bytes:
    """The photo as its format allows: JPEG and PNG keep their compressed pixels, all else becomes an upright PNG.

    The mark of what a model made stays, with the text that this program wrote beside it.

    Raises:
        UnreadableImage: it is damaged.
    """
    data = path.read_bytes()
    if is_marked_synthetic(data):
        return data
    plain = (
        _without_segments(data) if data[:2] == b"\xff\xd8" else _without_chunks(data) if data.startswith(_PNG) else b""
    )
    return plain if plain and _same_picture(data, plain) else converted(path)


def as_webp(png: bytes) -> bytes:
    """The same picture as a WebP without loss, where that is what the file's name says."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def _without_segments(data: bytes) -> bytes:
    """A JPEG without EXIF, XMP, IPTC, comments and pictures behind the first."""
    out, at = bytearray(data[:2]), 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if kind == _SCAN:
            end = data.find(b"\xff\xd9", at)
            return bytes(out + data[at : end + 2]) if end > 0 else b""
        size = 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
        if not (0xE0 <= kind <= 0xEF or kind == 0xFE) or kind in _KEPT_SEGMENTS:
            out += data[at : at + size]
        at += size
    return b""


def _without_chunks(data: bytes) -> bytes:
    out, at = bytearray(_PNG), len(_PNG)
    while at + 12 <= len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        if data[at + 4 : at + 8] in _KEPT_CHUNKS:
            out += data[at : at + 12 + size]
        at += 12 + size
    return bytes(out)


def _same_picture(before: bytes, after: bytes) -> bool:
    """Whether nothing but texts is gone; a turn that EXIF told would be."""
    try:
        with Image.open(io.BytesIO(before)) as old, Image.open(io.BytesIO(after)) as new:
            if old.getexif().get(ExifTags.Base.Orientation, 1) != 1 or old.size != new.size:
                return False
            return old.convert("RGB").tobytes() == new.convert("RGB").tobytes()
    except (OSError, ValueError, SyntaxError, struct.error):
        return False
