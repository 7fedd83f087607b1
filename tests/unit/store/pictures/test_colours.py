"""A profile of another colour space is applied; sRGB, none and broken ones change nothing."""

from __future__ import annotations

import io
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
