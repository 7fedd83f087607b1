"""Datasets for other trainers: proportions, captions, what is linked and what is made anew."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from tests.contract.makers import samples
from tests.helpers.raw_files import dng
from twinloop.domain.records import TrainingSample
from twinloop.errors import NothingToDo, StateError
from twinloop.foreign.pictures import folders_of, repeats_of, write_folders
from twinloop.store.pictures.provenance import is_marked_synthetic, synthetic_png

PIXELS = np.zeros((40, 60, 3), np.uint8)
PIXELS[:, :30] = 255


def sample(path: Path, weight: float = 1.0) -> TrainingSample:
    return TrainingSample(
        path, hashlib.sha256(path.read_bytes()).hexdigest(), f"photo of ohwx ana, {path.stem}", weight
    )


@given(st.lists(st.floats(0.05, 10), min_size=1, max_size=20))
def test_repeats_keep_the_proportions(weights: list[float]) -> None:
    repeats, top = repeats_of(weights), max(weights)
    assert all(count >= 1 for count in repeats)
    scale = max(repeats) / top
    assert all(
        abs(count - weight * scale) <= max(1.0, 0.5 * max(repeats) / 20 + 1e-6)
        for count, weight in zip(repeats, weights, strict=True)
    )


def test_repeats_are_as_small_as_they_go() -> None:
    assert repeats_of([1.0, 1.0, 1.0]) == [1, 1, 1]
    assert repeats_of([1.3, 0.65]) == [2, 1]
    assert repeats_of([1.0, 0.7, 0.001]) == [20, 14, 1]


def test_folders_by_weight_with_captions(tmp_path: Path) -> None:
    made = samples(tmp_path / "photos", count=5)
    folders = folders_of(made, "ohwx: ana/x")
    assert [(folder.name, folder.repeats, len(folder.pictures)) for folder in folders] == [
        ("2_ohwx ana x", 2, 2),
        ("1_ohwx ana x", 1, 3),
    ]
    write_folders(tmp_path / "set", folders)
    write_folders(tmp_path / "set", folders)  # again, as after a kill
    for folder in folders:
        for picture in folder.pictures:
            place = tmp_path / "set" / folder.name
            assert (place / f"{picture.stem}.txt").read_text() == picture.caption + "\n"
            assert (place / picture.file).read_bytes() == picture.source.read_bytes()
            assert (place / picture.file).samefile(picture.source)


def test_prior_images_come_once_each_and_change_no_repeats_of_the_subject(tmp_path: Path) -> None:
    others = [replace(one, prior=True, weight=1.5) for one in samples(tmp_path / "reg", count=3)]
    folders = folders_of([*samples(tmp_path / "photos", count=2), *others], "ohwx ana", "young: woman")
    assert [(folder.name, folder.repeats, len(folder.pictures), folder.prior) for folder in folders] == [
        ("2_ohwx ana", 2, 1, False),
        ("1_ohwx ana", 1, 1, False),
        ("prior_1_young woman", 1, 3, True),
    ]
    with pytest.raises(NothingToDo):
        folders_of(others, "ohwx ana", "woman")


def test_what_others_would_see_differently_is_made_anew(tmp_path: Path) -> None:
    """A turn that only EXIF tells, formats that not every trainer reads, transparency, 16 bits, a profile; the mark of
    a synthetic picture goes along.
    """
    clear, deep, wide = tmp_path / "clear.png", tmp_path / "deep.png", tmp_path / "wide.jpg"
    Image.fromarray(PIXELS).convert("RGBA").save(clear)
    Image.new("I;16", (60, 40), 25700).save(deep)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray(PIXELS).save(wide, icc_profile=profile)
    (folder,) = folders_of([sample(clear), sample(deep), sample(wide)], "ana")
    assert not any(picture.as_it_is for picture in folder.pictures)
    turned, odd, made = tmp_path / "turned.jpg", tmp_path / "odd.bmp", tmp_path / "made.png"
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(PIXELS).save(turned, exif=exif)
    Image.fromarray(PIXELS).save(odd)
    made.write_bytes(synthetic_png(PIXELS, "prompt", {}))
    (folder,) = folders_of([sample(turned), sample(odd), sample(made)], "ana")
    assert [picture.as_it_is for picture in folder.pictures] == [False, False, True]
    write_folders(tmp_path / "set", [folder])
    first, second, third = (tmp_path / "set" / folder.name / picture.file for picture in folder.pictures)
    with Image.open(first) as image:
        assert image.size == (40, 60) and image.format == "PNG" and not image.getexif()
    with Image.open(second) as image:
        assert image.size == (60, 40)
    assert is_marked_synthetic(third.read_bytes()) and not is_marked_synthetic(first.read_bytes())


@pytest.mark.parametrize("name", ["a.dng", "a.CR2", "a.png", "a.jpg"])
def test_a_raw_photo_becomes_a_picture_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(dng(PIXELS, 6))
    (folder,) = folders_of([sample(tmp_path / name)], "ana")
    write_folders(tmp_path / "set", [folder])
    (put,) = [path for path in (tmp_path / "set" / folder.name).iterdir() if path.suffix != ".txt"]
    with Image.open(put) as image:
        assert (put.suffix, image.format, image.size) == (".png", "PNG", (40, 60))


def test_nothing_and_no_longer_there(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    one = sample(tmp_path / "a.png")
    with pytest.raises(NothingToDo):
        folders_of([TrainingSample(one.path, one.sha256, one.caption, 0.0)], "ana")
    (tmp_path / "a.png").unlink()
    with pytest.raises(StateError, match="gone or changed"):
        folders_of([one], "ana")


def test_of_a_symbolic_link_the_photo_is_linked(tmp_path: Path) -> None:
    """A hard link to the link itself would point nowhere from another folder."""
    (tmp_path / "camera").mkdir()
    (tmp_path / "photos").mkdir()
    Image.fromarray(PIXELS).save(tmp_path / "camera" / "a.png")
    link = tmp_path / "photos" / "a.png"
    link.symlink_to(Path("..", "camera", "a.png"))
    (folder,) = folders_of([sample(link)], "ana")
    write_folders(tmp_path / "set" / "deep", [folder])
    put = tmp_path / "set" / "deep" / folder.name / folder.pictures[0].file
    assert not put.is_symlink() and put.samefile(tmp_path / "camera" / "a.png")
