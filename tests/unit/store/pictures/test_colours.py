"""A profile of another colour space is applied; sRGB, none and broken ones change nothing."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from twinloop.store.pictures.colours import to_srgb
from twinloop.store.pictures.images import decode


def with_profile(profile: bytes | None, mode: str = "RGB") -> bytes:
    picture = Image.new("RGB", (16, 16), (200, 60, 40)).convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG" if mode != "CMYK" else "TIFF", icc_profile=profile)
    return buffer.getvalue()


def colour(data: bytes) -> list[int]:
    return [int(value) for value in decode(data)[8, 8]]


def lab_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def grey_profile() -> bytes:
    """Greys whose numbers are light itself, as scanners of film give them."""
    tag = b"curv" + struct.pack(">4xI", 0)
    head = struct.pack(
        ">I4xI4s4s4s12x4s24xI3i48x",
        144 + len(tag), 0x04300000, b"mntr", b"GRAY", b"XYZ ", b"acsp", 1, 63190, 65536, 54061,
    )  # fmt: skip
    return head + struct.pack(">I4sII", 1, b"kTRC", 144, len(tag)) + tag


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def linear(name: str = "mine") -> bytes:
    """sRGB's primaries with another curve: an sRGB profile whose tone curves say gamma 1.0."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at = data.find(b"para")
    assert at > 0, "the built-in sRGB profile has parametric curves"
    size = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}[int.from_bytes(data[at + 8 : at + 10], "big")]
    data[at + 12 : at + 12 + 4 * size] = (65536).to_bytes(4, "big") * 1 + data[at + 16 : at + 12 + 4 * size]
    return bytes(data).replace("sRGB".encode("utf-16-be"), name.encode("utf-16-be"))


def test_pixels_of_another_space_become_srgb() -> None:
    plain, changed = colour(with_profile(None)), colour(with_profile(linear()))
    assert plain == [200, 60, 40]
    assert changed != plain and changed[1] > plain[1] + 10  # less steep a curve: darks are lighter than they look


def test_a_profile_is_judged_by_what_it_does_and_not_by_its_name() -> None:
    """Phones call theirs "Display P3 Gamut with sRGB Transfer", GIMP "built-in Linear sRGB"."""
    called_so = linear("sRGB")
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(called_so)))
    assert colour(with_profile(called_so)) == colour(with_profile(linear())) != [200, 60, 40]


def test_srgb_itself_and_no_profile_change_nothing() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert colour(with_profile(srgb)) == colour(with_profile(None)) == [200, 60, 40]


@pytest.mark.parametrize("profile", [b"", b"x" * 500, lab_profile()])
def test_a_profile_that_does_not_fit_changes_nothing(profile: bytes) -> None:
    assert colour(with_profile(profile)) == [200, 60, 40]


def test_transparency_survives() -> None:
    picture = Image.new("RGBA", (8, 8), (200, 60, 40, 128))
    picture.info["icc_profile"] = linear()
    changed = to_srgb(picture)
    assert changed.mode == "RGBA" and np.asarray(changed)[0, 0, 3] == 128


def test_real_profiles_are_applied(fixtures: Path) -> None:
    """Pictures that nobody here made, with profiles that are not sRGB's."""
    changed = 0
    for path in sorted((fixtures / "images" / "pillow_tests").rglob("*"))[:400]:
        if path.suffix.lower() not in (".jpg", ".png"):
            continue
        try:
            with Image.open(path) as image:
                image.load()
                if image.info.get("icc_profile") and image.mode in ("RGB", "CMYK", "L"):
                    changed += to_srgb(image) is not image
        except (OSError, SyntaxError, ValueError):
            continue
    assert changed > 0


def test_a_palette_holds_colours_of_its_profile() -> None:
    palette = Image.new("RGB", (16, 16), (200, 60, 40)).quantize(4)
    data = saved(palette, "PNG", icc_profile=linear())
    assert Image.open(io.BytesIO(data)).mode == "P"
    assert colour(data) == pytest.approx(colour(with_profile(linear())), abs=2)


def test_a_transparent_palette_stays_transparent() -> None:
    palette = Image.new("P", (16, 16), 1)
    palette.putpalette([0, 0, 0, 200, 60, 40])
    palette.paste(0, (0, 0, 8, 16))
    seen = decode(saved(palette, "PNG", icc_profile=linear(), transparency=0))
    assert seen[8, 2].tolist() == [255, 255, 255]
    assert seen[8, 12].tolist() == pytest.approx(colour(with_profile(linear())), abs=2)


def test_the_colour_that_stands_for_nothing_is_that_of_the_file() -> None:
    data = saved(Image.new("RGB", (16, 16), (200, 60, 40)), "PNG", icc_profile=linear(), transparency=(200, 60, 40))
    assert colour(data) == [255, 255, 255]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_greys_of_8_and_16_bits_follow_their_profile(kind: str) -> None:
    """0.2 of the light is sRGB's 124."""
    deep = Image.fromarray(np.full((16, 16), 0.2 * 65535, np.uint16))
    for picture in (Image.new("L", (16, 16), 51), deep):
        assert colour(saved(picture, kind, icc_profile=grey_profile())) == pytest.approx([124] * 3, abs=1)


def test_greys_with_transparency_follow_their_profile() -> None:
    half = Image.new("LA", (16, 16), (51, 128))
    over_white = round(124 * 128 / 255 + 127)
    assert colour(saved(half, "PNG", icc_profile=grey_profile())) == pytest.approx([over_white] * 3, abs=2)
    none = saved(Image.new("L", (16, 16), 51), "PNG", icc_profile=grey_profile(), transparency=51)
    assert colour(none) == [255, 255, 255]


def test_greys_under_a_profile_of_colours_are_greys_of_it() -> None:
    grey = Image.new("L", (16, 16), 93)
    as_colour = Image.new("RGB", (16, 16), (93, 93, 93))
    made = [colour(saved(picture, "PNG", icc_profile=linear())) for picture in (grey, as_colour)]
    assert made[0] == made[1] != [93, 93, 93]


@pytest.mark.parametrize("profile", [None, linear(), lab_profile()])
def test_lab_needs_no_profile(profile: bytes | None) -> None:
    red = Image.new("RGB", (16, 16), (200, 60, 40))
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    picture = ImageCms.profileToProfile(red, srgb, lab, outputMode="LAB")
    assert picture is not None
    picture.info.clear()
    assert colour(saved(picture, "TIFF", icc_profile=profile)) == pytest.approx([200, 60, 40], abs=2)


def test_a_real_picture_in_lab_is_green(fixtures: Path) -> None:
    red, green, blue = colour((fixtures / "images" / "pillow_tests" / "lab-green.tif").read_bytes())
    assert green > blue > red
