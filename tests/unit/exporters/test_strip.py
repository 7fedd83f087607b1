"""What leaves with a photo that is given away: pixels, the mark of a generator, and no text of a camera or person."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from twinloop.errors import UnreadableImage
from twinloop.exporters.strip import shareable
from twinloop.store.pictures.provenance import is_marked_synthetic, synthetic_png, synthetic_xmp

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)


def test_a_photo_to_be_shared_loses_its_texts_not_its_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[305] = "SecretEditor"
    for name, options in (("a.jpg", {"quality": 90}), ("p.jpg", {"quality": 90, "progressive": True}), ("b.png", {})):
        Image.fromarray(PIXELS).save(tmp_path / name, exif=exif, **options)
        data = (tmp_path / name).read_bytes()
        plain = shareable(tmp_path / name)
        assert b"SecretEditor" in data and b"SecretEditor" not in plain and len(plain) < len(data)
        (tmp_path / "plain").write_bytes(plain)
        with Image.open(tmp_path / "plain") as one, Image.open(tmp_path / name) as other:
            assert one.format == other.format and np.array_equal(np.asarray(one), np.asarray(other))


def test_what_follows_the_first_picture_goes(tmp_path: Path) -> None:
    """Phones put depth maps and videos behind a JPEG's end."""
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole + b"a video of the garden")
    assert shareable(tmp_path / "a.jpg") == whole


def test_a_turned_photo_is_set_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "plain").write_bytes(shareable(tmp_path / "a.jpg"))
    with Image.open(tmp_path / "plain") as image:
        assert image.format == "PNG" and image.size == (40, 60)


def test_a_damaged_photo_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    with pytest.raises(UnreadableImage):
        shareable(tmp_path / "a.jpg")


def with_secrets() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = "SecretPrompt in C:/Users/alice"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    return exif


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_another_programs_image_keeps_the_mark_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"made.{suffix}"
    Image.fromarray(PIXELS).save(path, exif=with_secrets(), xmp=synthetic_xmp(), lossless=True, quality=90)
    if suffix == "png":  # Pillow writes no XMP into PNGs
        path.write_bytes(marked_png({"workflow": "SecretPrompt"}))
    assert is_marked_synthetic(path.read_bytes()) and b"SecretPrompt" in path.read_bytes()
    plain = shareable(path)
    assert is_marked_synthetic(plain) and b"SecretPrompt" not in plain
    with Image.open(io.BytesIO(plain)) as image, Image.open(path) as before:
        image.load()
        assert not image.getexif() and np.array_equal(np.asarray(image), np.asarray(before))
        texts = {"XML:com.adobe.xmp", "xmp"}
        assert texts & image.info.keys(), "read as XMP by others, too"


def marked_png(texts: dict[str, str]) -> bytes:
    return synthetic_png(PIXELS, "SecretPrompt", texts)


def test_this_programs_own_image_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "made.png"
    path.write_bytes(marked_png({"twinloop": "{}"}))
    assert shareable(path) == path.read_bytes()


def test_a_comment_between_the_scans_goes(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(PIXELS).save(path, progressive=True)
    data = path.read_bytes()
    between = data.index(b"\xff\xc4", data.index(b"\xff\xda"))
    # a comment that holds an end marker
    path.write_bytes(data[:between] + b"\xff\xfe\x00\x0eGPS 52.5\xff\xd9 x" + data[between:])
    assert shareable(path) == data
