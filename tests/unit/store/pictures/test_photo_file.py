"""One read of a file, and its pixels at the size that serves: upright, in the right colours, at every decode scale the
same picture.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from twinloop.domain.faces import ImageArray
from twinloop.errors import UnreadableImage
from twinloop.stages.pixels import hash_distance, perceptual_hash
from twinloop.store.pictures.images import decode
from twinloop.store.pictures.photo_file import decode_small, read_photo, scale_for

WIDTH, HEIGHT = 800, 520


def scene() -> Image.Image:
    """Smooth shapes, each corner different, so that every turn shows."""
    x, y = np.meshgrid(np.linspace(0, 1, WIDTH), np.linspace(0, 1, HEIGHT))
    red = 255 * x
    green = 255 * y
    blue = 255 * ((x - 0.2) ** 2 + (y - 0.3) ** 2 < 0.05)
    return Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8))


def encoded(
    kind: str, orientation: int = 1, mode: str = "RGB", exif: Mapping[Any, str] | None = None, **options: Any
) -> bytes:
    data = Image.Exif()
    data[ExifTags.Base.Orientation] = orientation
    data.get_ifd(ExifTags.IFD.Exif).update(exif or {})
    buffer = io.BytesIO()
    scene().convert(mode).save(buffer, kind, exif=data, **options)
    return buffer.getvalue()


def difference(a: ImageArray, b: ImageArray) -> float:
    """Mean difference of grey levels, the larger one shrunk."""
    small = np.asarray(Image.fromarray(b).resize((a.shape[1], a.shape[0]), Image.Resampling.BOX))
    return float(np.abs(a.astype(float) - small).mean())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_at_every_scale(kind: str, orientation: int) -> None:
    data = encoded(kind, orientation)
    full = decode(data)
    for least in (100, 300, 5000):
        made = decode_small(data, least)
        assert (made.height, made.width) == full.shape[:2]
        assert max(made.small.shape) >= min(least, WIDTH) and difference(made.small, full) < 2.0
        assert np.array_equal(made.full(), full)


@pytest.mark.parametrize(
    ("mode", "options"),
    [("L", {}), ("CMYK", {}), ("RGB", {"progressive": True}), ("RGB", {"subsampling": 0}), ("RGB", {"quality": 20})],
)
def test_every_kind_of_jpeg(mode: str, options: dict[str, Any]) -> None:
    data = encoded("JPEG", 6, mode, **options)
    assert difference(decode_small(data, 200).small, decode(data)) < 3.0


def test_the_hash_is_the_same_at_every_scale() -> None:
    for kind in ("JPEG", "PNG"):
        data = encoded(kind)
        whole = perceptual_hash(decode(data))
        assert all(
            hash_distance(whole, perceptual_hash(decode_small(data, least).small)) <= 2 for least in (100, 200, 400)
        )


@given(st.integers(1, 20000), st.integers(1, 4000))
def test_the_scale_is_the_largest_that_leaves_enough(longer: int, least: int) -> None:
    scale = scale_for(longer, least)
    assert scale in (1, 2, 4, 8)
    assert scale == 1 or longer // scale >= least
    assert scale == 8 or longer // (2 * scale) < least


def test_the_moment_is_the_cameras_own() -> None:
    dated = {ExifTags.Base.DateTimeOriginal: "2004:07:08 21:14:45", ExifTags.Base.SubsecTimeOriginal: "25"}
    for kind in ("JPEG", "PNG", "WEBP"):
        # 2004-07-08 21:14:45 as if it were UTC
        assert decode_small(encoded(kind, exif=dated), 100).taken == 1_089_321_285.25
    plain = {ExifTags.Base.DateTimeOriginal: "2004:07:08 21:14:45"}
    assert decode_small(encoded("JPEG", exif=plain), 100).taken == 1_089_321_285.0


@pytest.mark.parametrize(
    "text",
    ["", "0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday", "2004-07-08T21:14:45", "2004:13:45 99:00:00"],
)
def test_a_moment_that_is_none(text: str) -> None:
    assert (
        decode_small(
            encoded("JPEG", exif={ExifTags.Base.DateTimeOriginal: text, ExifTags.Base.SubsecTimeOriginal: "x"}), 100
        ).taken
        is None
    )


def test_a_png_whose_pixels_are_cut_is_refused() -> None:
    """Its EXIF would be looked for behind the pixels, and the complaint must not get lost there."""
    data = encoded("PNG")
    with pytest.raises(UnreadableImage):
        decode_small(data[: len(data) // 2], 100)


def test_reading_gives_stat_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"hello")
    os.utime(path, ns=(1, 5_000_000_123))
    listed, data = read_photo(path)
    assert (listed.size, listed.mtime_ns, data) == (5, 5_000_000_123, b"hello")


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A FIFO without a writer would block for ever."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    for name, words in (
        ("pipe.jpg", "no regular file"),
        ("folder.jpg", "cannot be read|no regular file"),
        ("nothing.jpg", "No such file"),
    ):
        with pytest.raises(UnreadableImage, match=words):
            read_photo(tmp_path / name)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"longer than before"),
        lambda path: path.write_bytes(b"s"),
        lambda path: os.utime(path, ns=(9, 9)),
    ],
)
def test_a_file_that_changes_while_it_is_read_waits_for_the_next_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "growing.jpg"
    path.write_bytes(b"begin")
    real = os.fstat
    asked: list[int] = []

    def changing(handle: int) -> os.stat_result:
        seen = real(handle)
        if not asked:
            change(path)
        asked.append(handle)
        return seen

    monkeypatch.setattr(os, "fstat", changing)
    with pytest.raises(UnreadableImage, match="changed while it was read"):
        read_photo(path)
