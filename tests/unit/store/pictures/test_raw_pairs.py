"""A raw photo beside the JPEG or HEIC of the same shot is one photo with it; of another shot, it is one of its own."""

from __future__ import annotations

import io
from pathlib import Path

import pillow_heif
import pytest
from PIL import ExifTags, Image

from tests.helpers.raw_files import dng, scene
from twinloop.store.pictures import capture_time
from twinloop.store.pictures.images import find_images
from twinloop.store.pictures.raw_pairs import partners, same_shot

pillow_heif.register_heif_opener()

TAKEN, MAY_1 = "2024:05:01 10:00:00", 1714557600.0


def put(folder: Path, name: str, taken: str = "") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".heic": "HEIF", ".png": "PNG"}.get(path.suffix.lower())
    if kind is None:
        path.write_bytes(dng(scene(24, 16), taken=taken))
        return path
    exif = Image.Exif()
    if taken:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    buffer = io.BytesIO()
    Image.fromarray(scene(64, 48)).save(buffer, kind, exif=exif)
    path.write_bytes(buffer.getvalue())
    return path


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_images(folder)]


@pytest.mark.parametrize("name", ["a.jpg", "A.JPEG", "a.heic"])
@pytest.mark.parametrize("taken", ["", TAKEN, "2024:05:01 10:00:01"])
def test_the_jpeg_or_heic_of_a_shot_is_used(name: str, taken: str, tmp_path: Path) -> None:
    put(tmp_path, "a.NEF", TAKEN)
    put(tmp_path, name, taken)
    put(tmp_path, "b.NEF", TAKEN)
    assert names(tmp_path) == sorted([name, "b.NEF"])


@pytest.mark.parametrize("name", ["a.jpg", "a.heic"])
def test_two_shots_of_one_name_are_two_photos(name: str, tmp_path: Path) -> None:
    put(tmp_path, "a.CR2", TAKEN)
    put(tmp_path, name, "2024:05:01 10:00:03")
    assert names(tmp_path) == ["a.CR2", name]


def test_other_folders_names_and_formats_are_no_pair(tmp_path: Path) -> None:
    for name in ("a.dng", "raw/b.dng", "b.jpg", "a-2.jpg", "a.png"):
        put(tmp_path, name, TAKEN)
    assert names(tmp_path) == ["a-2.jpg", "a.dng", "a.png", "b.jpg", "raw/b.dng"]


def test_an_empty_jpeg_is_no_photo_to_use_instead(tmp_path: Path) -> None:
    put(tmp_path, "a.dng")
    (tmp_path / "a.jpg").touch()
    assert "a.dng" in names(tmp_path)


@pytest.mark.parametrize("name", ["a.jpg", "a.heic"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_photo_that_was_cut_off_is_none_to_use_instead(name: str, share: float, tmp_path: Path) -> None:
    put(tmp_path, "a.dng")
    data = put(tmp_path, name, TAKEN).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * share)])
    assert names(tmp_path) == sorted(["a.dng", name])
    (tmp_path / name).write_bytes(bytes(len(data)))
    assert names(tmp_path) == sorted(["a.dng", name]), "what a card that failed leaves"


def test_the_end_of_a_small_picture_in_the_exif_is_not_that_of_the_photo(tmp_path: Path) -> None:
    put(tmp_path, "a.dng")
    data = put(tmp_path, "a.jpg").read_bytes()
    segment = b"Exif\0\0" + data
    whole = data[:2] + b"\xff\xff\xe1" + (len(segment) + 2).to_bytes(2) + segment + data[2:]
    (tmp_path / "a.jpg").write_bytes(whole[:-20])
    assert names(tmp_path) == ["a.dng", "a.jpg"]
    for behind in (b"", b"a film of a second" * 10_000):  # as phones put it
        (tmp_path / "a.jpg").write_bytes(whole + behind)
        assert names(tmp_path) == ["a.jpg"]


def test_a_png_that_is_called_so_is_used(tmp_path: Path) -> None:
    put(tmp_path, "a.dng")
    put(tmp_path, "a.png").rename(tmp_path / "a.jpg")
    assert names(tmp_path) == ["a.jpg"]


def test_the_jpeg_comes_before_the_heic() -> None:
    assert partners(["a.dng"], ["a.heic", "a.png", "A.JPG", "a.dng", "b.jpg"]) == {"a.dng": ["A.JPG", "a.heic"]}


def test_when_a_file_was_taken_is_read_from_its_beginning(tmp_path: Path) -> None:
    for name in ("a.dng", "a.jpg", "a.heic"):
        assert capture_time.capture_time(put(tmp_path, name, TAKEN)) == MAY_1
        assert capture_time.capture_time(put(tmp_path, name)) is None
    block = put(tmp_path, "a.dng", TAKEN).read_bytes()
    assert capture_time.time_tags(b"\0\0\0\x18ftypcrx " + bytes(40) + b"CMT2" + block)  # as CR3 has it
    for head in (b"IIRO", b"IIRS", b"IIU\0"):
        assert capture_time.time_tags(head + block[4:])
    assert capture_time.capture_time(tmp_path / "gone.dng") is None
    (tmp_path / "b.dng").write_bytes(block[:150])
    assert capture_time.capture_time(tmp_path / "b.dng") is None and same_shot(tmp_path / "b.dng", tmp_path / "a.jpg")
