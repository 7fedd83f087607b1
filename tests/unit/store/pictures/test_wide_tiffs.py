"""TIFFs whose numbers Pillow has no mode for are the pictures that OpenCV, too, sees in them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.helpers.tiff_files import GREY, INVERTED, RGB, H, W, check, greys, scene, tiff, tiled
from twinloop.errors import UnreadableImage
from twinloop.store.pictures import wide_tiffs
from twinloop.store.pictures.cicp import profile_by_code_points
from twinloop.store.pictures.images import decode, load_image, stored_orientation

REAL = 3
"""Floating-point, as the tag of the sample format says it."""
TRANSPARENCY, PREMULTIPLIED, UNKNOWN = ((338, kind) for kind in (2, 1, 0))


def real(values: Any, kind: str = "f4") -> Any:
    return (values / 255).astype(kind)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "u4"])
def test_colours_in_wide_numbers(kind: str, planes: bool, order: str) -> None:
    bits, numbers = 8 * int(kind[1]), REAL if kind[0] == "f" else 1
    values = real(scene(), kind) if kind[0] == "f" else scene().astype("u4") * 16843009
    check(tiff(values, RGB, bits, numbers=numbers, order=order, planes=planes), scene())


@pytest.mark.parametrize("predictor", [1, 2, 3])
@pytest.mark.parametrize("compression", [5, 8, 32773])
def test_what_opencv_writes(compression: int, predictor: int) -> None:
    options = [cv2.IMWRITE_TIFF_COMPRESSION, compression, cv2.IMWRITE_TIFF_PREDICTOR, predictor]
    done, data = cv2.imencode(".tif", real(scene())[..., ::-1], options)
    assert done
    seen = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert seen.dtype == np.float32
    check(data.tobytes(), np.round(seen[..., ::-1] * 255).astype(np.uint8), 1)
    check(data.tobytes(), scene(), 1)


@pytest.mark.parametrize("order", "<>")
def test_tiles(order: str) -> None:
    """Wider and higher than the picture, as those at its edges are."""
    check(tiled(real(scene()[:29, :43]), RGB, 32, numbers=REAL, order=order), scene()[:29, :43])


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("inverted", [False, True])
def test_greys_with_transparency_lie_on_white(bits: int, planes: bool, inverted: bool) -> None:
    grey, alpha = greys() / 255, np.linspace(0, 1, greys().size).reshape(greys().shape)
    shown = np.round((grey * alpha + 1 - alpha) * 255).astype(np.uint8)
    for tag, colour in ((TRANSPARENCY, grey), (PREMULTIPLIED, grey * alpha)):
        if inverted and tag is PREMULTIPLIED:
            continue
        values = np.dstack([1 - colour if inverted else colour, alpha])
        stored = values.astype("f4") if bits == 32 else np.round(values * 65535).astype("u2")
        numbers = REAL if bits == 32 else 1
        colours = INVERTED if inverted else GREY
        check(tiff(stored, colours, bits, numbers=numbers, planes=planes, tags=[tag]), shown)
    stored = np.dstack([grey, alpha]).astype("f4")
    check(tiff(stored, GREY, 32, numbers=REAL, tags=[UNKNOWN]), greys())  # what is no transparency hides nothing


def test_a_png_of_greys_of_16_bits_with_transparency() -> None:
    """These Pillow reads by itself."""
    values = np.dstack([greys(), np.full_like(greys(), 128)]).astype(">u2") * 257
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = (b"IHDR", struct.pack(">IIBBBBB", W, H, 16, 4, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    check(data, np.round(greys() * (128 / 255) + 127).astype(np.uint8))


def test_where_white_is() -> None:
    bright = real(scene())
    bright[:4, :4] = 40.0  # a lamp, which darkens nothing
    wanted = scene()
    wanted[:4, :4] = 255
    check(tiff(bright, RGB, 32, numbers=REAL), wanted)
    check(tiff(scene().astype("f4"), RGB, 32, numbers=REAL), scene())
    check(tiff(scene().astype("f4") * 257, RGB, 32, numbers=REAL), scene())
    holes = real(scene())
    holes[0, 0], holes[0, 1], holes[0, 2] = np.nan, np.inf, -3.0
    wanted = scene()
    wanted[0, 0], wanted[0, 1], wanted[0, 2] = 0, 255, 0
    check(tiff(holes, RGB, 32, numbers=REAL), wanted)


def test_the_picture_is_turned(tmp_path: Path) -> None:
    path = tmp_path / "wide.tif"
    path.write_bytes(tiff(real(scene()), RGB, 32, numbers=REAL, tags=[(274, 6)]))
    seen = load_image(path)
    with path.open("rb") as file:
        assert stored_orientation(file) == 6
    assert stored_orientation(io.BytesIO(b"no picture")) == 1
    assert seen.origin == "real" and np.abs(seen.pixels.astype(int) - np.rot90(scene(), -1)).max() <= 1


def test_dark_parts_under_a_linear_profile_stay_what_they_are() -> None:
    """In 8 bits there would be three levels of them."""
    dark = scene() // 8
    scaled = dark / 255
    light = np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)
    linear = profile_by_code_points(1, 8)
    assert linear is not None
    check(with_profile(tiff(light.astype("f4"), RGB, 32, numbers=REAL), linear), dark, 1)


@pytest.mark.parametrize("told", [(12, 13), (9, 4), (1, 13)])
def test_profiles_change_colours_as_they_do_in_8_bits(told: tuple[int, int]) -> None:
    profile = profile_by_code_points(*told)
    assert profile is not None
    changed = ImageCms.profileToProfile(
        Image.fromarray(scene()), ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )  # fmt: skip
    assert changed is not None
    check(with_profile(tiff(real(scene()), RGB, 32, numbers=REAL), profile), np.asarray(changed))


def with_profile(data: bytes, profile: bytes) -> bytes:
    """A little-endian TIFF with a profile more."""
    at = struct.unpack("<I", data[4:8])[0]
    count = struct.unpack("<H", data[at : at + 2])[0]
    entries = data[at + 2 : at + 2 + 12 * count] + struct.pack("<HHII", 34675, 7, len(profile), len(data))
    end = len(data) + len(profile)
    return data[:4] + struct.pack("<I", end) + data[8:] + profile + struct.pack("<H", count + 1) + entries + bytes(4)


def test_what_is_too_large_or_torn_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiff(real(scene()), RGB, 32, numbers=REAL)
    at = struct.unpack("<I", data[4:8])[0]
    torn = data[:4] + struct.pack("<I", 1000) + data[8:1000] + data[at:]  # most of the numbers are gone
    with pytest.raises(UnreadableImage):
        decode(torn)
    monkeypatch.setattr(wide_tiffs, "_MOST_BYTES", 1000)
    with pytest.raises(UnreadableImage, match="more numbers than this tool opens"):
        decode(data)
    monkeypatch.setattr("twinloop.store.pictures.images.MAX_PIXELS", 1000)
    with pytest.raises(UnreadableImage, match=r"has 48 x 32 pixels"):
        decode(data)


def test_a_picture_that_pillow_reads_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinloop.store.pictures.images.open_wide", lambda *_: pytest.fail("it was asked"))
    check(tiff(scene(), RGB), scene())
