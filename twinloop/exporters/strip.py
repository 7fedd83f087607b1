"""Photos without what cameras and programs wrote into them (places, names, thumbnails), their pixels untouched."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from PIL import ExifTags, Image

from twinloop.foreign.pictures import converted
from twinloop.store.pictures.provenance import Maker, has_iptc_mark, maker_of, synthetic_xmp

_SCAN, _END = 0xDA, 0xD9
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""What ends the compressed data of a scan: any marker but a stuffed byte or a restart."""
_XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"
_KEPT_SEGMENTS = (0xE0, 0xE2, 0xEE)
"""JPEG's application segments that say how to show the pixels: JFIF, colour profile, Adobe's colour transform."""
_KEPT_CHUNKS = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD"}
)
_PNG = b"\x89PNG\r\n\x1a\n"


def shareable(path: Path) -> bytes:
    """The photo as its format allows: JPEG and PNG keep their compressed pixels, all else becomes an upright PNG.

    The mark of what a model made stays. So does the text that this program wrote into its own images; what others
    wrote (a camera's position, another program's prompts and paths) goes.

    Raises:
        UnreadableImage: it is damaged.
    """
    data = path.read_bytes()
    maker = maker_of(data)
    if has_iptc_mark(data) and _is_our_own(data):
        return data
    plain = (
        _without_segments(data) if data[:2] == b"\xff\xd8" else _without_chunks(data) if data.startswith(_PNG) else b""
    )
    if not plain or not _same_picture(data, plain):
        plain = converted(path)
    return plain if maker is Maker.UNTOLD else _with_mark(plain, maker)


def _is_our_own(data: bytes) -> bool:
    return data.startswith(_PNG) and any(
        kind == b"iTXt" and data[start:].startswith(b"twinloop\0") for kind, start, _ in _chunks(data)
    )


def _with_mark(data: bytes, maker: Maker) -> bytes:
    """A JPEG or PNG without texts, marked as made by a model."""
    if data[:2] == b"\xff\xd8":
        packet = _XMP_NAME + synthetic_xmp(maker)
        return data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(packet)) + packet + data[2:]
    body = b"iTXt" + b"XML:com.adobe.xmp\0\0\0\0\0" + synthetic_xmp(maker)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    after_header = len(_PNG) + 25
    return data[:after_header] + chunk + data[after_header:]


def as_webp(png: bytes) -> bytes:
    """The same picture as a WebP without loss, where that is what the file's name says."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def _without_segments(data: bytes) -> bytes:
    """A JPEG without EXIF, XMP, IPTC, comments (between scans, too) and pictures behind the first; b"" = damaged."""
    out, at = bytearray(data[:2]), 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        size = 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
        if not (0xE0 <= kind <= 0xEF or kind == 0xFE) or kind in _KEPT_SEGMENTS:
            out += data[at : at + size]
        at += size
        if kind == _SCAN:
            marker = _MARKER.search(data, at)
            if marker is None:
                return b""
            out += data[at : marker.start()]
            at = marker.start()
            if data[at + 1] == _END:
                return bytes(out + data[at : at + 2])
    return b""


def _without_chunks(data: bytes) -> bytes:
    kept = (data[start - 8 : end + 4] for kind, start, end in _chunks(data) if kind in _KEPT_CHUNKS)
    return _PNG + b"".join(kept)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each chunk of a PNG."""
    at = len(_PNG)
    while at + 12 <= len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        yield data[at + 4 : at + 8], at + 8, at + 8 + size
        at += 12 + size


def _same_picture(before: bytes, after: bytes) -> bool:
    """Whether nothing but texts is gone; a turn that EXIF told would be."""
    try:
        with Image.open(io.BytesIO(before)) as old, Image.open(io.BytesIO(after)) as new:
            if old.getexif().get(ExifTags.Base.Orientation, 1) != 1 or old.size != new.size:
                return False
            return old.convert("RGB").tobytes() == new.convert("RGB").tobytes()
    except (OSError, ValueError, SyntaxError, struct.error):
        return False
