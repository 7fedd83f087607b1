"""A still HEVC video of 10 bits, as phones film in HDR: one picture as pillow-heif encodes it, twice, in an MP4."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pillow_heif

_UPRIGHT = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_SECOND, _FRAMES = 1000, 2


def heic(pixels: np.ndarray, primaries: int, transfer: int, matrix: int) -> bytes:
    """A HEIC of uint16 (H, W, 3) RGB whose stream tells these code points."""
    buffer = io.BytesIO()
    pillow_heif.encode(
        "RGB;16",
        pixels.shape[1::-1],
        pixels.astype("<u2").tobytes(),
        buffer,
        quality=100,
        color_primaries=primaries,
        transfer_characteristics=transfer,
        matrix_coefficients=matrix,
        full_range_flag=0,
    )
    return buffer.getvalue()


def write_hevc(path: Path, still: bytes) -> Path:
    """The picture of a HEIC as a video of a fifth of a second."""
    sample = _box_in(still, b"mdat")[8:]
    height, width = pillow_heif.open_heif(still).size[::-1]
    head = _box(b"ftyp", b"isom\0\0\2\0isomiso2mp41")
    begin = len(head) + len(_movie(width, height, still, len(sample), 0)) + 8
    movie = _movie(width, height, still, len(sample), begin)
    path.write_bytes(head + movie + _box(b"mdat", sample, sample))
    return path


def _box_in(data: bytes, kind: bytes) -> bytes:
    at = data.index(kind) - 4
    return data[at : at + struct.unpack_from(">I", data, at)[0]]


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", flags), *parts)


def _movie(width: int, height: int, still: bytes, size: int, begin: int) -> bytes:
    length = _SECOND // 10 * _FRAMES
    shape = struct.pack(">2H2I", width, height, 72 << 16, 72 << 16)
    entry = _box(
        b"hvc1", bytes(6) + b"\0\1", bytes(16), shape, bytes(4), b"\0\1", bytes(32), b"\0\x18\xff\xff",
        _box_in(still, b"hvcC"),
    )  # fmt: skip
    table = _box(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1), entry),
        _full(b"stts", struct.pack(">3I", 1, _FRAMES, _SECOND // 10)),
        _full(b"stsc", struct.pack(">4I", 1, 1, _FRAMES, 1)),
        _full(b"stsz", struct.pack(">2I", size, _FRAMES)),
        _full(b"stco", struct.pack(">2I", 1, begin)),
    )
    here = _box(b"dinf", _full(b"dref", struct.pack(">I", 1), _full(b"url ", flags=1)))
    media = _box(
        b"mdia",
        _full(b"mdhd", struct.pack(">4I2H", 0, 0, _SECOND, length, 0x55C4, 0)),
        _full(b"hdlr", bytes(4), b"vide", bytes(13)),
        _box(b"minf", _full(b"vmhd", bytes(8), flags=1), here, table),
    )
    places = struct.pack(">2I", width << 16, height << 16)
    track = _full(b"tkhd", struct.pack(">5I", 0, 0, 1, 0, length), bytes(16), _UPRIGHT, places, flags=7)
    times = struct.pack(">4I", 0, 0, _SECOND, length) + struct.pack(">IH", 1 << 16, 1 << 8) + bytes(10)
    return _box(b"moov", _full(b"mvhd", times, _UPRIGHT, bytes(24), b"\0\0\0\2"), _box(b"trak", track, media))
