"""Pictures of an exported dataset are what their names say."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from twinloop.exporters.training_set import _picture
from twinloop.foreign.pictures import Picture


@pytest.mark.parametrize(
    ("name", "format", "as_it_is", "ends", "becomes"),
    [
        ("a.jpg", "JPEG", True, ".jpg", "JPEG"),
        ("a.png", "PNG", True, ".png", "PNG"),
        ("a.webp", "WEBP", True, ".webp", "WEBP"),
        ("a.jfif", "JPEG", False, ".png", "PNG"),
        ("a.tiff", "TIFF", False, ".png", "PNG"),
    ],
)
def test_the_ending_is_that_of_the_content(
    tmp_path: Path, name: str, format: str, as_it_is: bool, ends: str, becomes: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / name, format)
    picture = Picture("0000", tmp_path / name, "ohwx ana", as_it_is)
    assert picture.suffix == ends
    with Image.open(io.BytesIO(_picture(picture))) as made, Image.open(tmp_path / name) as source:
        assert made.format == becomes
        assert np.array_equal(np.asarray(made.convert("RGB")), np.asarray(source.convert("RGB")))
