"""Thumbnails: small, the same every time, and what was made stays marked."""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from twinloop.errors import UnreadableImage
from twinloop.report.thumbnails import LONGEST, Pictures, thumbnail
from twinloop.store.pictures.provenance import is_marked_synthetic, synthetic_png

PIXELS = np.random.default_rng(0).integers(0, 255, (300, 200, 3), dtype=np.uint8)


def png(pixels: np.ndarray = PIXELS) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def inside(uri: str) -> bytes:
    kind, data = uri.split(",", 1)
    assert kind == "data:image/webp;base64"
    return base64.b64decode(data)


def test_small_and_in_proportion() -> None:
    made = thumbnail(png())
    assert (made.height, made.width) == (LONGEST, round(LONGEST * 200 / 300))
    with Image.open(io.BytesIO(inside(made.uri))) as image:
        assert image.size == (made.width, made.height)


def test_a_smaller_picture_keeps_its_size() -> None:
    assert (thumbnail(png(PIXELS[:64, :48])).width, thumbnail(png(PIXELS[:64, :48])).height) == (48, 64)


def test_same_bytes_same_text() -> None:
    assert thumbnail(png()) == thumbnail(png())


def test_the_mark_of_a_synthetic_picture_stays_and_a_photo_gets_none() -> None:
    assert is_marked_synthetic(inside(thumbnail(synthetic_png(PIXELS, "a prompt", {})).uri))
    assert not is_marked_synthetic(inside(thumbnail(png()).uri))


def test_damaged_pictures() -> None:
    with pytest.raises(UnreadableImage):
        thumbnail(b"not a picture")


def test_found_from_another_folder(tmp_path: Path) -> None:
    (tmp_path / "project/photos").mkdir(parents=True)
    (tmp_path / "project/photos/a.png").write_bytes(png())
    pictures = Pictures(tmp_path / "project/outputs/bootstrap")
    assert pictures.named("photos/a.png", hashlib.sha256(png()).hexdigest()) == thumbnail(png())
    assert pictures.named("photos/b.png") is None
    assert pictures.named("photos/a\0.png") is None


def test_a_changed_picture_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png())
    assert Pictures(tmp_path).at(path, "0" * 64) is None
    assert Pictures(tmp_path).at(path) is not None


def test_gone_or_damaged_pictures_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")
    pictures = Pictures(tmp_path)
    assert pictures.at(tmp_path / "a.png") is None
    assert pictures.at(tmp_path / "none.png") is None
    assert pictures.at(tmp_path) is None
