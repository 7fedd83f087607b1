"""Every synthetic pixel says what it is, and nothing strips the mark."""

from __future__ import annotations

import io
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from twinloop.domain.faces import ImageArray
from twinloop.store.atomic import copy_whole
from twinloop.store.pictures.images import load_image
from twinloop.store.pictures.provenance import (
    TRAINED_ALGORITHMIC_MEDIA,
    Maker,
    clean_png,
    is_marked_synthetic,
    maker_of,
    synthetic_png,
    synthetic_xmp,
)

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


def with_texts(packed: bool = False, international: bool = False, **texts: str) -> bytes:
    """A PNG with text chunks, as other programs write them."""
    info = PngImagePlugin.PngInfo()
    for keyword, text in texts.items():
        (info.add_itxt if international else info.add_text)(keyword, text, zip=packed)
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("international", [False, True])
def test_the_settings_of_a1111_are_a_mark(packed: bool, international: bool) -> None:
    data = with_texts(packed, international, parameters="1girl, café\nSteps: 20, Sampler: Euler a, Seed: 3")
    assert maker_of(data) is Maker.ANOTHER and is_marked_synthetic(data)


def test_novelai_and_comfyui_leave_theirs() -> None:
    assert maker_of(with_texts(Software="NovelAI", Comment='{"steps": 28, "seed": 4}')) is Maker.ANOTHER
    assert maker_of(with_texts(Title="NovelAI generated image", Comment='{"steps": 28}')) is Maker.ANOTHER
    graph = json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 1}}})
    assert maker_of(with_texts(prompt=graph, workflow='{"nodes": []}')) is Maker.ANOTHER


def test_a_photo_with_texts_of_its_own_stays_one() -> None:
    for texts in (
        {"Software": "GIMP 2.10", "Comment": '{"layers": 3}'},
        {"prompt": "describe this picture", "parameters": "f/2.8 1/60"},
        {"Title": "Ana", "Description": "Steps: 20 to the sea"},
    ):
        assert maker_of(with_texts(**texts)) is Maker.UNTOLD


def with_comment(kind: str, comment: bytes) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind, exif=exif.tobytes())
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("order", ["utf-16-be", "utf-16-le"])
def test_so_does_a_jpeg_or_webp_in_its_exif(kind: str, order: str) -> None:
    said = "1girl\nSteps: 20, Sampler: Euler a"
    assert maker_of(with_comment(kind, b"UNICODE\0" + said.encode(order))) is Maker.ANOTHER
    assert maker_of(with_comment(kind, b"ASCII\0\0\0" + said.encode())) is Maker.ANOTHER
    sdnext = "1girl\nSteps: 20, Size: 512x768, Sampler: Euler, Seed: 4"
    assert maker_of(with_comment(kind, b"UNICODE\0" + sdnext.encode(order))) is Maker.ANOTHER
    for own in ("Steps to the sea", "Lake trip. Steps: 10234, heart rate 92"):
        assert maker_of(with_comment(kind, b"UNICODE\0" + own.encode(order))) is Maker.UNTOLD


def test_own_images_are_known_also_where_only_their_settings_are_left(png: bytes) -> None:
    """Saved again by a program that keeps ``parameters`` and drops the XMP."""
    assert maker_of(png) is Maker.THIS_PROGRAM
    own = f"{PARAMETERS}, Version: twinloop 1.0"
    assert maker_of(with_texts(parameters=own)) is Maker.THIS_PROGRAM
    assert maker_of(with_comment("JPEG", b"UNICODE\0" + own.encode("utf-16-be"))) is Maker.THIS_PROGRAM


def test_a_copy_without_texts_does_not_claim_to_be_ours() -> None:
    assert maker_of(clean_png(Image.fromarray(PIXELS), synthetic=True)) is Maker.ANOTHER
    assert maker_of(clean_png(Image.fromarray(PIXELS), synthetic=False)) is Maker.UNTOLD


def test_damaged_files_are_no_reason_to_stop(png: bytes) -> None:
    comment = with_comment("JPEG", b"UNICODE\0" + "Steps: 20".encode("utf-16-be"))
    for data in (png, comment, with_texts(packed=True, parameters="Steps: 20, " * 50)):
        for end in range(0, len(data), 7):
            maker_of(data[:end])
