"""Code points become the colours they stand for: P3 and BT.2020 in sRGB, HDR below white; sRGB's change nothing."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pillow_heif
import pytest
from PIL import Image, ImageCms

from twinloop.store.pictures.cicp import profile_by_code_points
from twinloop.store.pictures.colours import has_other_colours
from twinloop.store.pictures.images import decode

RED = (200, 60, 40)
NCLX = b"colrnclx"


def png(primaries: int, transfer: int, colour: tuple[int, ...] = RED, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture = Image.new("RGB", (16, 16), colour)
    (picture.quantize(4) if mode == "P" else picture.convert(mode)).save(buffer, "PNG", **options)
    data = buffer.getvalue()
    chunk = b"cICP" + bytes([primaries, transfer, 0, 1])
    return data[:33] + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


def heic(primaries: int, transfer: int, **options: object) -> bytes:
    pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    told = {"color_primaries": primaries, "transfer_characteristics": transfer, "matrix_coefficients": 6}
    Image.new("RGB", (64, 64), RED).save(buffer, "HEIF", quality=100, full_range_flag=1, **told, **options)
    return buffer.getvalue()


def avif(primaries: int, transfer: int, **options: object) -> bytes:
    """Pillow writes sRGB's code points only: others are put in their place."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), RED).save(buffer, "AVIF", quality=100, **options)
    data = buffer.getvalue()
    place = data.find(NCLX) + len(NCLX)
    return data[:place] + struct.pack(">HH", primaries, transfer) + data[place + 4 :]


def colour(data: bytes) -> list[int]:
    return [int(value) for value in decode(data)[8, 8]]


def linear(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    scaled = np.asarray(values, float) / 255
    return np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)


def encoded(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    clipped = np.clip(values, 0, 1)
    return 255 * np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** (1 / 2.4) - 0.055)


TO_SRGB = {
    # as CSS Color 4 and BT.2087 give them
    12: [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]],
    9: [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
}


@pytest.mark.parametrize("made", [png, heic, avif])
@pytest.mark.parametrize("primaries", [9, 12])
@pytest.mark.parametrize("transfer", [1, 13])
def test_wide_primaries_become_srgb(made: Callable[..., bytes], primaries: int, transfer: int) -> None:
    expected = encoded(np.array(TO_SRGB[primaries]) @ linear(RED))
    assert colour(made(primaries, transfer)) == pytest.approx(expected, abs=5)


@pytest.mark.parametrize("made", [png, heic, avif])
@pytest.mark.parametrize(("primaries", "transfer"), [(1, 13), (1, 1), (1, 6), (2, 2), (9, 11)])
def test_srgb_and_what_is_not_known_change_nothing(made: Callable[..., bytes], primaries: int, transfer: int) -> None:
    assert colour(made(primaries, transfer)) == pytest.approx(RED, abs=2)


def pq(nits: float) -> int:
    power = (nits / 10_000) ** (2610 / 16384)
    return round(255 * ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32))


@pytest.mark.parametrize("nits", [10, 40, 100, 140])
def test_what_is_darker_than_white_keeps_its_light(nits: float) -> None:
    """PQ tells candelas; 203 of them are white paper."""
    grey = colour(png(9, 16, (pq(nits),) * 3))
    assert max(grey) - min(grey) <= 1
    assert grey[0] == pytest.approx(float(encoded(np.array(nits / 203))), abs=5)


def test_what_is_brighter_than_white_is_pressed_together_and_not_cut_off() -> None:
    levels = [colour(png(9, 16, (pq(nits),) * 3))[0] for nits in (203, 260, 350, 500)]
    assert levels == sorted(set(levels)) and 235 < levels[0] < 250 and levels[-1] <= 255


def test_hlg_of_a_grey_card_and_of_white_paper() -> None:
    """BT.2408: 38 % of the signal is a grey card of 18 % (26 cd/m2), 75 % white paper (203)."""
    assert colour(png(9, 18, (round(0.38 * 255),) * 3))[0] == pytest.approx(float(encoded(np.array(26 / 203))), abs=6)
    assert 235 < colour(png(9, 18, (round(0.75 * 255),) * 3))[0] < 250


@pytest.mark.parametrize("mode", ["P", "RGBA", "L", "LA"])
def test_in_every_mode(mode: str) -> None:
    expected = colour(png(12, 8, mode="RGB") if mode in ("P", "RGBA") else png(12, 8, (93, 93, 93)))
    seen = colour(png(12, 8, mode=mode))
    assert seen == pytest.approx(expected, abs=6)
    assert min(seen) > min(colour(png(1, 13, mode=mode))) + 20, (
        "dark numbers of linear light are lighter than they look"
    )


def test_in_a_png_code_points_go_before_a_profile_and_in_an_avif_behind_it() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert colour(png(12, 13, icc_profile=srgb)) == colour(png(12, 13)) != list(RED)
    assert colour(png(99, 13, icc_profile=srgb)) == list(RED)
    assert colour(avif(12, 13, icc_profile=srgb)) == pytest.approx(RED, abs=2)


@pytest.mark.parametrize(("primaries", "other"), [(12, True), (1, False)])
def test_programs_that_pass_code_points_over_get_a_converted_copy(primaries: int, other: bool) -> None:
    with Image.open(io.BytesIO(png(primaries, 13))) as image:
        assert has_other_colours(image) is other
        image.load()
        assert image.getpixel((3, 3)) == RED, "the file can still be decoded"


def test_a_head_that_breaks_off_tells_no_colours() -> None:
    data = png(12, 13)
    for end in range(8, 43):
        with Image.open(io.BytesIO(data)) as image:
            image.fp = io.BytesIO(data[:end])
            assert has_other_colours(image) is False
    with Image.open(io.BytesIO(data)) as image:
        assert has_other_colours(image) is True


def test_white_is_white_in_every_profile() -> None:
    for primaries in (1, 9, 12):
        profile = profile_by_code_points(primaries, 13)
        assert profile is not None
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
        assert opened.xcolor_space.strip() == "RGB"
    assert colour(png(9, 13, (255, 255, 255))) == colour(png(12, 13, (255, 255, 255))) == [255, 255, 255]
