"""TIFFs of every kind that cameras, scanners and editors write: right colours, the right way round, or one reason."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from tests.helpers.tiff_files import CIELAB, CMYK, GREY, ICCLAB, INVERTED, RGB, Array, H, W, check, greys, scene, tiff
from twinloop.errors import UnreadableImage
from twinloop.store.pictures.images import decode

OF_LAB = 20
"""Levels by which vivid colours are off that were in 8 bits of Lab."""


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
        (tiff(scene().astype(np.int32), RGB, 32, numbers=2), "a TIFF of 32-bit signed RGB"),
        (tiff(greys().astype(np.uint64), GREY, 64), "a TIFF of 64-bit grey"),
        (
            tiff(np.dstack([scene()] * 2).astype(np.uint16), CMYK, 16),
            "a TIFF of 16-bit CMYK with 2 more channels",
        ),
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
