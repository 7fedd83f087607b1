"""Every synthetic pixel says what it is, and nothing strips the mark."""

from __future__ import annotations

import io
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from twinloop.domain.faces import ImageArray
from twinloop.store.atomic import copy_whole
from twinloop.store.images import load_image
from twinloop.store.provenance import TRAINED_ALGORITHMIC_MEDIA, is_marked_synthetic, synthetic_png, synthetic_xmp

PIXELS: ImageArray = np.random.default_rng(0).integers(0, 255, (24, 16, 3), dtype=np.uint8)
PARAMETERS = "a photo of ohwx ana, élan\nNegative prompt: blurry\nSteps: 30, CFG scale: 7.5, Seed: 1, Size: 16x24"


@pytest.fixture
def png() -> bytes:
    return synthetic_png(PIXELS, PARAMETERS, {"twinloop": json.dumps({"shot": 1})})


def test_other_tools_find_the_parameters_and_the_mark(png: bytes) -> None:
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.info["parameters"] == PARAMETERS
    assert json.loads(image.info["twinloop"]) == {"shot": 1}
    description = ElementTree.fromstring(image.info["xmp"].decode()).find(".//{*}Description")
    assert description is not None
    assert (
        description.get("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType") == TRAINED_ALGORITHMIC_MEDIA
    )


def test_the_pixels_are_untouched_and_the_bytes_always_the_same(png: bytes) -> None:
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), PIXELS)
    assert png == synthetic_png(PIXELS, PARAMETERS, {"twinloop": json.dumps({"shot": 1})})


def test_a_copy_keeps_the_mark(png: bytes, tmp_path: Path) -> None:
    (tmp_path / "made.png").write_bytes(png)
    copy_whole(tmp_path / "made.png", tmp_path / "approved" / "made.png")
    loaded = load_image(tmp_path / "approved" / "made.png")
    assert loaded.origin == "synthetic"
    np.testing.assert_array_equal(loaded.pixels, PIXELS)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF", "PNG", "AVIF"])
def test_the_mark_is_found_in_the_formats_people_convert_to(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"made.{kind.lower()}"
    big: ImageArray = np.random.default_rng(1).integers(0, 255, (700, 700, 3), dtype=np.uint8)
    if kind == "PNG":
        path.write_bytes(synthetic_png(big, "", {}))
    elif kind == "TIFF":
        Image.fromarray(big).save(path, kind, tiffinfo={700: synthetic_xmp()})
    else:
        Image.fromarray(big).save(path, kind, xmp=synthetic_xmp(), **({"speed": 10} if kind == "AVIF" else {}))
    assert path.stat().st_size > 100_000
    assert load_image(path).origin == "synthetic"


def test_a_photo_is_real_and_an_edited_one_too(tmp_path: Path) -> None:
    """``compositeWithTrainedAlgorithmicMedia`` is what phones write after erasing a passer-by: still the person."""
    plain, edited = tmp_path / "plain.jpg", tmp_path / "edited.jpg"
    Image.fromarray(PIXELS).save(plain)
    Image.fromarray(PIXELS).save(edited, xmp=synthetic_xmp().replace(b"/trained", b"/compositeWithTrained"))
    assert load_image(plain).origin == load_image(edited).origin == "real"


def test_a_mark_made_elsewhere_counts() -> None:
    assert is_marked_synthetic(b"....digitalsourcetype/trainedAlgorithmicMedia....")
    assert not is_marked_synthetic(b"")
