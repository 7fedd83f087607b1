"""XMP packets in image files: found by the structure of each format, without reading pixels."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from typing import Any, BinaryIO

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.helpers import xmp
from twinloop.store.pictures.xmp_packets import LARGEST, MOST, _Numbers
from twinloop.store.pictures.xmp_packets import xmp_packets as packets_of

PACKET = xmp.packet(xmp.lightroom([("Anna", (0.5, 0.5, 0.2, 0.2))]))
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF")
pillow_heif.register_heif_opener()


def xmp_packets(file: BinaryIO) -> tuple[bytes, ...]:
    return tuple(packets_of(file))


def saved(kind: str, side: int = 32) -> bytes:
    noise = np.random.default_rng(1).integers(0, 255, (side, side, 3), dtype=np.uint8)
    options: dict[str, Any] = {"xmp": PACKET}
    if kind == "PNG":
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", PACKET.decode(), zip=side == 33)
        options = {"pnginfo": text}
    elif kind == "TIFF":
        options = {"tiffinfo": {700: PACKET}}
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind, **options)
    return buffer.getvalue()


class Counted(io.BytesIO):
    """Counts what is read."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.read_bytes += len(data)
        return data


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format(kind: str) -> None:
    file = Counted(saved(kind, 512))
    assert xmp_packets(file) == (PACKET,)
    assert file.read_bytes < len(PACKET) + 4096 < len(file.getvalue())


def test_a_compressed_chunk_of_a_png() -> None:
    assert xmp_packets(io.BytesIO(saved("PNG", 33))) == (PACKET,)


def test_files_without_a_packet() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "HEIF", "BMP", "GIF"):
        buffer = io.BytesIO()
        Image.new("RGB", (32, 32)).save(buffer, kind)
        assert xmp_packets(buffer) == (), kind
    assert xmp_packets(io.BytesIO(b"")) == xmp_packets(io.BytesIO(b"no picture")) == ()


def segment(body: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def test_a_long_packet_of_a_jpeg_goes_on_in_further_segments() -> None:
    plain = io.BytesIO()
    Image.new("RGB", (8, 8)).save(plain, "JPEG")
    guid, rest = b"A" * 32, bytes(range(256)) * 400
    main = b'<x:xmpmeta xmpNote:HasExtendedXMP="' + guid + b'"/>'
    parts = [(place, rest[place : place + 60_000]) for place in range(0, len(rest), 60_000)]
    more = [
        segment(b"http://ns.adobe.com/xmp/extension/\0" + guid + struct.pack(">II", len(rest), place) + data)
        for place, data in reversed(parts)
    ]
    head = segment(b"http://ns.adobe.com/xap/1.0/\0" + main)
    foreign = segment(b"http://ns.adobe.com/xmp/extension/\0" + b"B" * 32 + struct.pack(">II", 3, 0) + b"bad")
    data = plain.getvalue()
    assert xmp_packets(io.BytesIO(data[:2] + head + foreign + b"".join(more) + data[2:])) == (main, rest)


SAVED = {kind: saved(kind) for kind in FORMATS}


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(FORMATS),
    st.lists(st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=8)), max_size=5),
    st.integers(0, 6000),
)
def test_damaged_files_never_raise(kind: str, damage: list[tuple[int, bytes]], length: int) -> None:
    data = bytearray(SAVED[kind][:length])
    for place, piece in damage:
        data[place : place + len(piece)] = piece
    assert all(isinstance(found, bytes) for found in xmp_packets(io.BytesIO(bytes(data))))


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(
        [b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"II*\0", b"MM\0*", b"\0\0\0\x10ftypheic"]
    ),
    st.binary(max_size=400),
)
def test_any_bytes_behind_the_signature(start: bytes, rest: bytes) -> None:
    xmp_packets(io.BytesIO(start + rest))


def test_a_list_of_pieces_without_size_ends() -> None:
    """Millions of empty pieces in a few bytes would take hours."""
    iloc = b"\0\0\0\0" + b"\x00\x00" + struct.pack(">H", 0xFFFF) + struct.pack(">HHH", 1, 0, 0xFFFF) * 60_000
    meta = b"\0\0\0\0" + struct.pack(">I4s", len(iloc) + 8, b"iloc") + iloc
    data = struct.pack(">I4s8s", 16, b"ftyp", b"heic\0\0\0\0") + struct.pack(">I4s", len(meta) + 8, b"meta") + meta
    assert xmp_packets(io.BytesIO(data)) == ()


def heic(iinf: bytes, iloc: bytes, behind: bytes = b"") -> bytes:
    """A file of these two boxes, and of what lies behind them."""
    meta = b"\0\0\0\0" + box(b"iinf", iinf) + box(b"iloc", iloc)
    return box(b"ftyp", b"heic\0\0\0\0") + box(b"meta", meta) + behind


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


def test_a_list_that_is_shorter_than_it_says_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four thousand million items of nothing would take an hour."""
    read, asked = _Numbers.next, list[int]()

    def counted(numbers: _Numbers, size: int) -> int:
        asked.append(size)
        assert len(asked) < 10
        return read(numbers, size)

    monkeypatch.setattr(_Numbers, "next", counted)
    assert xmp_packets(io.BytesIO(heic(b"", b"\x02\0\0\0" + b"\0\0" + b"\xff" * 4))) == () and asked


def test_numbers_of_pieces_are_passed_over() -> None:
    kind = b"\x02\0\0\0" + struct.pack(">HH", 7, 0) + b"mime" + b"\0" + b"application/rdf+xml\0"
    iinf = b"\0\0\0\0" + struct.pack(">H", 1) + box(b"infe", kind)

    def iloc(place: int) -> bytes:
        """Offsets, lengths and numbers of pieces of four bytes each."""
        item = struct.pack(">HHHH", 7, 0, 0, 1) + struct.pack(">III", 0x1234, place, len(PACKET))
        return b"\x01\0\0\0" + b"\x44\x04" + struct.pack(">H", 1) + item

    data = heic(iinf, iloc(len(heic(iinf, iloc(0)))), PACKET)
    assert xmp_packets(io.BytesIO(data)) == (PACKET,)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_text(packet: bytes) -> bytes:
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet, 9))


def test_packets_that_grow_when_they_are_unpacked_take_little_memory() -> None:
    plain = saved("PNG")
    data = plain[:33] + png_text(b" " * LARGEST) * 300 + plain[33:]
    tracemalloc.start()
    try:
        for _ in packets_of(io.BytesIO(data)):
            pass
        assert tracemalloc.get_traced_memory()[1] < 5 * LARGEST
    finally:
        tracemalloc.stop()


def test_a_file_has_few_packets() -> None:
    plain = saved("PNG")
    assert xmp_packets(io.BytesIO(plain[:33] + png_text(b"<a/>") * 99 + plain[33:])) == (b"<a/>",) * MOST
    large = png_text(b" " * (LARGEST // 2)) * MOST
    assert sum(map(len, xmp_packets(io.BytesIO(plain[:33] + large + plain[33:])))) == LARGEST
    jpeg = io.BytesIO()
    Image.new("RGB", (8, 8)).save(jpeg, "JPEG")
    guids = [bytes([65 + number]) * 32 for number in range(9)]
    head = segment(b"http://ns.adobe.com/xap/1.0/\0" + b"".join(guids))
    more = (
        segment(b"http://ns.adobe.com/xmp/extension/\0" + guid + struct.pack(">II", 3, 0) + b"bit") for guid in guids
    )
    found = xmp_packets(io.BytesIO(jpeg.getvalue()[:2] + head + b"".join(more) + jpeg.getvalue()[2:]))
    assert found == (b"".join(guids), *[b"bit"] * (MOST - 1))


def test_what_lies_behind_the_picture_of_a_png_is_no_packet() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    assert xmp_packets(io.BytesIO(buffer.getvalue() + png_text(PACKET))) == ()


def test_a_tiff_has_one_packet() -> None:
    tags = struct.pack("<HHII", 700, 1, 8, 64) * 50
    data = b"II*\0" + struct.pack("<IH", 8, 50) + tags + bytes(4)
    assert len(xmp_packets(io.BytesIO(data))) == 1
