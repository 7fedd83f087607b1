"""Small pictures for the page: no metadata but the mark of synthetic images, and only of the content that was asked
for.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.raw_files import dng
from twinloop.errors import InputError
from twinloop.store.pictures.provenance import synthetic_xmp
from twinloop.web.pictures import FACE_SIDE, _large, face, picture, thumbnail
from twinloop.web.pictures import photo as photo_of


def photo(path: Path, orientation: int = 1, xmp: bytes = b"") -> str:
    """A 400 x 300 photo, black but for a red square at (300..360, 60..120) of the upright picture, with a place and a
    camera in its EXIF.
    """
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[60:120, 300:360] = (250, 0, 0)
    image = Image.fromarray(pixels)
    if orientation == 6:  # stored on its side: to be turned by 90 degrees clockwise
        image = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "SecretCamera"
    exif.get_ifd(0x8825)[1] = "N"
    image.save(path, quality=95, exif=exif, xmp=xmp)
    return hashlib.sha256(path.read_bytes()).hexdigest()


BOX = (0.75, 0.2, 0.9, 0.4)


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_square_around_a_face(tmp_path: Path, orientation: int) -> None:
    sha256 = photo(tmp_path / "a.jpg", orientation)
    data = face([tmp_path / "gone.jpg", tmp_path / "a.jpg"], sha256, BOX)
    assert b"SecretCamera" not in data and b"trainedAlgorithmicMedia" not in data
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "WEBP" and image.width == image.height <= FACE_SIDE and not image.getexif()
        red = np.asarray(image)[..., 0] > 128
    assert red.mean() == pytest.approx(1 / 1.5**2, abs=0.05)
    rows, columns = np.nonzero(red)
    assert abs(rows.mean() - red.shape[0] / 2) < 3 and abs(columns.mean() - red.shape[1] / 2) < 3


def test_a_raw_photo_is_shown_as_any_other(tmp_path: Path) -> None:
    """A browser cannot show one."""
    pixels = np.full((300, 400, 3), 60, np.uint8)
    pixels[60:120, 300:360] = (200, 60, 60)
    (tmp_path / "a.dng").write_bytes(dng(pixels))
    sha256 = hashlib.sha256((tmp_path / "a.dng").read_bytes()).hexdigest()
    made = (
        picture(tmp_path / "a.dng", 256, sha256),
        photo_of([tmp_path / "a.dng"], 1280, sha256),
        face([tmp_path / "a.dng"], sha256, BOX),
    )
    for data, size in zip(made, ((256, 192), (400, 300), (90, 90)), strict=True):
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == "WEBP" and image.size == size
            assert np.asarray(image).astype(int)[image.height // 2, image.width // 2] == pytest.approx(
                (200, 60, 60) if size == (90, 90) else (60, 60, 60), abs=8
            )


def test_a_face_at_the_edge_and_one_that_fills_the_photo(tmp_path: Path) -> None:
    sha256 = photo(tmp_path / "a.jpg")
    for box in ((0.95, 0.9, 1.0, 1.0), (0.0, 0.0, 1.0, 1.0), (-0.1, -0.1, 0.1, 0.1)):
        with Image.open(io.BytesIO(face([tmp_path / "a.jpg"], sha256, box))) as image:
            assert image.width == image.height > 0


def test_the_mark_of_synthetic_images_stays(tmp_path: Path) -> None:
    sha256 = photo(tmp_path / "a.jpg", xmp=synthetic_xmp())
    assert b"trainedAlgorithmicMedia" in face([tmp_path / "a.jpg"], sha256, BOX)
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG")
    assert b"trainedAlgorithmicMedia" in thumbnail(
        buffer.getvalue(), True
    ) and b"trainedAlgorithmicMedia" not in thumbnail(buffer.getvalue(), False)


def test_a_photo_that_is_another_one_now(tmp_path: Path) -> None:
    sha256 = photo(tmp_path / "a.jpg")
    face([tmp_path / "a.jpg"], sha256, BOX)
    Image.new("RGB", (50, 50)).save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="was changed since"):
        face([tmp_path / "a.jpg"], sha256, BOX)
    with pytest.raises(InputError, match="is gone"):
        face([tmp_path / "gone.jpg"], sha256, BOX)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"broken\.jpg"):
        face([tmp_path / "broken.jpg"], hashlib.sha256(b"no picture").hexdigest(), BOX)


def test_another_copy_is_shown_where_one_was_changed(tmp_path: Path) -> None:
    sha256 = photo(tmp_path / "b.jpg")
    (tmp_path / "a.jpg").write_bytes(b"not it any more")
    both = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    assert photo_of(both, 256, sha256) == picture(tmp_path / "b.jpg", 256, sha256)
    assert face(both, sha256, BOX) == face([tmp_path / "b.jpg"], sha256, BOX)
    with pytest.raises(InputError, match=r"a\.jpg was changed since"):
        photo_of(both[:1], 256, sha256)
    with pytest.raises(InputError, match="Scan again"):
        photo_of([tmp_path / "gone.jpg"], 256, sha256)


def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo(tmp_path / "a.jpg")

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError, match=r"a\.jpg cannot be read: Permission denied"):
        picture(tmp_path / "a.jpg", 256)


def test_pictures_to_look_at_do_not_fill_the_memory(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    for number in range(100):
        (tmp_path / f"{number}.jpg").hardlink_to(tmp_path / "a.jpg")
        picture(tmp_path / f"{number}.jpg", 1280)
    assert _large.cache_info().currsize <= 32


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(InputError, match="gone"):
        face([tmp_path / "pipe.jpg"], "0" * 64, BOX)
