"""TIFFs of every kind that cameras, scanners and editors write: right colours, the right way round, or one reason."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from twinloop.errors import UnreadableImage
from twinloop.store.pictures.images import decode, upright_size
from twinloop.store.pictures.photo_file import decode_small

W, H = 48, 32
GREY, INVERTED, RGB, CMYK, CIELAB, ICCLAB = 1, 0, 2, 5, 8, 9
OF_LAB = 20
"""Levels by which vivid colours are off that were in 8 bits of Lab."""
Array = np.ndarray


def scene() -> Array:
    """(32, 48, 3) uint8: a red corner, a blue one, and a slope between them."""
    x, y = np.meshgrid(np.linspace(40, 220, W), np.linspace(60, 200, H))
    pixels = np.stack([x, y, 250 - x], axis=-1).astype(np.uint8)
    pixels[:8, :8], pixels[-8:, -8:] = (230, 40, 30), (30, 60, 220)
    return pixels


def greys() -> Array:
    return np.asarray(Image.fromarray(scene()).convert("L"))


def tiff(
    values: Array, colours: int, bits: int = 8, *, numbers: int = 1, order: str = "<", planes: bool = False,
    tags: Sequence[tuple[int, int]] = (),
) -> bytes:  # fmt: skip
    """An uncompressed TIFF with one strip, or one for each plane."""
    height, width, count = (*values.shape, 1)[:3]
    stored = values.reshape(height, width, count)
    stored = stored.transpose(2, 0, 1) if planes else stored
    data = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    size = len(data) // (count if planes else 1)
    lists = {
        258: ("H", [bits] * count),
        339: ("H", [numbers] * count),
        273: ("I", [8 + at for at in range(0, len(data), size)]),
        279: ("I", [size] * (len(data) // size)),
        **{tag: ("I", [value]) for tag, value in ((256, width), (257, height), (278, height))},
        **{tag: ("H", [value]) for tag, value in ((259, 1), (262, colours), (277, count), (284, 1 + planes), *tags)},
    }
    body, entries = data, b""
    for tag, (kind, items) in sorted(lists.items()):
        packed = struct.pack(f"{order}{len(items)}{kind}", *items)
        head = struct.pack(f"{order}HHI", tag, 3 if kind == "H" else 4, len(items))
        entries += head + (packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack(f"{order}I", 8 + len(body)))
        body += packed if len(packed) > 4 else b""
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(body))
    return start + body + struct.pack(f"{order}H", len(lists)) + entries + bytes(4)


def check(data: bytes, wanted: Array, tolerance: float = 2) -> None:
    """What is scanned, and what is cut from, is the picture."""
    truth = wanted if wanted.ndim == 3 else wanted[..., None].repeat(3, 2)
    for seen in (decode(data), decode_small(data, 1280).small):
        assert seen.shape == truth.shape
        assert np.abs(seen.astype(int) - truth).max() <= tolerance
    assert upright_size(data) == truth.shape[1::-1]


def lab() -> tuple[Array, Array]:
    """The scene in Lab: (H, W) lightness 0..100, and (H, W, 2) the others."""
    profiles = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
    changed = ImageCms.profileToProfile(Image.fromarray(scene()), *profiles, outputMode="LAB")
    assert changed is not None
    values = np.asarray(changed)
    return values[..., 0] / 2.55, values[..., 1:].astype(np.int8).astype(float)


@pytest.mark.parametrize("order", "<>")
def test_lab_of_8_and_16_bits(order: str) -> None:
    light, others = lab()
    signed = [np.dstack([light * 2.55, others]), np.dstack([light * 655.35, others * 256])]
    unsigned = [np.dstack([light * 2.55, others + 128]), np.dstack([light * 652.8, (others + 128) * 256])]
    for colours, kinds in ((CIELAB, signed), (ICCLAB, unsigned)):
        for values, bits in zip(kinds, (8, 16), strict=True):
            whole = values.round().astype(np.int64).astype(f"u{bits // 8}")
            check(tiff(whole, colours, bits, order=order), scene(), OF_LAB)
    check(tiff(whole, ICCLAB, 16, order=order, planes=True), scene(), OF_LAB)


def deflated(plain: bytes, size: int, order: str) -> bytes:
    """The same TIFF with its one strip of so many bytes compressed."""
    packed = zlib.compress(plain[8 : 8 + size])
    for old, new in (
        (struct.pack(f"{order}HHIHH", 259, 3, 1, 1, 0), struct.pack(f"{order}HHIHH", 259, 3, 1, 8, 0)),
        (struct.pack(f"{order}HHII", 279, 4, 1, size), struct.pack(f"{order}HHII", 279, 4, 1, len(packed))),
    ):
        assert plain.count(old) == 1
        plain = plain.replace(old, new)
    return plain[:8] + packed.ljust(size, b"\0") + plain[8 + size :]


@pytest.mark.parametrize("order", "<>")
def test_compressed_ones_of_either_order_of_bytes(order: str) -> None:
    light, others = lab()
    values = np.dstack([light * 655.35, others * 256]).round().astype(np.int64).astype(np.uint16)
    check(deflated(tiff(values, CIELAB, 16, order=order), values.nbytes, order), scene(), OF_LAB)
    for grey, bits, numbers in (
        (greys().astype(np.uint16) * 257, 16, 1),
        (greys().astype(np.int16) * 128, 16, 2),
        ((greys() / 255).astype(np.float32), 32, 3),
    ):
        check(deflated(tiff(grey, GREY, bits, numbers=numbers, order=order), grey.nbytes, order), greys())


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("planes", [False, True])
def test_greys_whose_zero_is_black_or_white(order: str, planes: bool) -> None:
    eight = greys()
    sixteen, real = eight.astype(np.uint16) * 257, (eight / 255).astype(np.float32)
    for colours, values, bits, numbers in (
        (GREY, eight, 8, 1), (INVERTED, 255 - eight, 8, 1), (GREY, sixteen, 16, 1), (INVERTED, 65535 - sixteen, 16, 1),
        (GREY, real, 32, 3), (INVERTED, 1 - real, 32, 3),
    ):  # fmt: skip
        check(tiff(values, colours, bits, numbers=numbers, order=order, planes=planes), eight)


def test_greys_of_other_depths() -> None:
    eight = greys()
    check(tiff(eight.astype(np.int16) * 128, GREY, 16, numbers=2), eight)
    check(tiff(eight.astype(np.uint32) * 16843009, GREY, 32), eight)
    twelve = np.round(eight / 255 * 4095).astype(int).reshape(-1, 2)
    a, b = twelve.T
    packed = np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], axis=-1).astype(np.uint8).reshape(H, W * 3 // 2)
    data = tiff(packed, GREY).replace(struct.pack("<HHIHH", 258, 3, 1, 8, 0), struct.pack("<HHIHH", 258, 3, 1, 12, 0))
    check(data.replace(struct.pack("<HHII", 256, 4, 1, W * 3 // 2), struct.pack("<HHII", 256, 4, 1, W)), eight)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("planes", [False, True])
def test_colours_in_one_plane_or_several(order: str, planes: bool) -> None:
    ink = np.dstack([255 - scene(), np.zeros((H, W), np.uint8)])
    opaque = np.dstack([scene(), np.full((H, W), 255, np.uint8)])
    for values, colours, tags in ((scene(), RGB, ()), (opaque, RGB, [(338, 2)]), (ink, CMYK, ())):
        check(tiff(values, colours, order=order, planes=planes, tags=tags), scene())
        check(tiff(values.astype(np.uint16) * 257, colours, 16, order=order, planes=planes, tags=tags), scene())


def test_what_is_changed_for_planes_holds_for_no_other_file() -> None:
    decode(tiff(scene(), RGB, planes=True))
    assert TiffImagePlugin.READ_LIBTIFF is False


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff(scene().astype(np.float32), RGB, 32, numbers=3), "a TIFF of 32-bit floating-point RGB"),
        (tiff(greys().astype(np.float64), GREY, 64, numbers=3), "a TIFF of 64-bit floating-point grey"),
        (tiff(np.dstack([greys()] * 2).astype(np.uint16), GREY, 16), "a TIFF of 16-bit grey with 1 more channel"),
        (tiff(greys(), GREY, tags=[(259, 34712)]), "a TIFF with compression 34712"),
        (tiff(greys(), GREY, tags=[(262, 4)]), None),
        (tiff(greys(), GREY)[:60], None),
    ],
)
def test_what_is_not_read_is_named(data: bytes, reason: str | None) -> None:
    with pytest.raises(UnreadableImage) as told:
        decode(data)
    if reason is not None:
        assert str(told.value) == f"is {reason}, which is not read: save it as RGB of 8 or 16 bits a colour"
