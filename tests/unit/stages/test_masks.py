"""Masks of photos: which fit, and that a wrong one is said before anything starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.contract.makers import TRAINING
from tests.unit.things import Recording
from twinloop.domain.records import Dataset, Mask, Member
from twinloop.errors import InputError
from twinloop.stages.masks import check_masks, masks_of, say_how_many
from twinloop.stages.samples import Beside, training_samples
from twinloop.store.atomic import sha256_file
from twinloop.store.pictures.masks import MaskOrigin, mask_png


def photo(path: Path, width: int = 60, height: int = 40, turned: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if turned:
        exif[274] = 6
    Image.new("RGB", (width, height), "grey").save(path, exif=exif)
    return path


def mask(path: Path, width: int = 60, height: int = 40, grey: int = 255) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (width, height), grey).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return [photo(tmp_path / f"photos/{number}.jpg") for number in range(5)]


def test_photos_with_and_without(photos: list[Path], tmp_path: Path) -> None:
    one, small = mask(tmp_path / "masks/0.png"), mask(tmp_path / "masks/2.png", 15, 10)
    mask(tmp_path / "masks/of nobody.png", 5, 90)
    found = masks_of(tmp_path / "masks", tmp_path / "photos", photos)
    assert found == {
        photo: Mask(path, sha256_file(path), sha256_file(photo))
        for photo, path in ((photos[0], one), (photos[2], small))
    }
    reporter = Recording()
    say_how_many(len(found), 5, reporter)
    assert reporter.lines == ["2 of 5 pictures with a mask; where there is none, all of it is learned"]


def test_a_photo_counts_as_it_is_seen(tmp_path: Path) -> None:
    """A mask is drawn over the upright photo; over the lying one it is wrong."""
    upright = photo(tmp_path / "photos/a.jpg", turned=True)
    mask(tmp_path / "masks/a.png", 40, 60)
    assert masks_of(tmp_path / "masks", tmp_path / "photos", [upright])
    mask(tmp_path / "masks/a.png", 60, 40)
    with pytest.raises(InputError, match=r"a\.png is 60 x 40, and the photo is seen as 40 x 60"):
        masks_of(tmp_path / "masks", tmp_path / "photos", [upright])


def test_all_that_is_wrong_is_one_error(photos: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    mask(folder / "0.png", 40, 40)
    mask(folder / "1.png", grey=0)
    (folder / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    mask(folder / "3.png", 10, 90)
    with pytest.raises(InputError) as caught:
        masks_of(folder, tmp_path / "photos", photos)
    said = str(caught.value)
    assert said.startswith("training.masks: ") and "; and 1 more. Correct them or move them away." in said
    for words in ("0.png is 40 x 40", "1.png is black all over", "2.png "):
        assert words in said, said


def test_a_little_rounding_is_no_other_shape(tmp_path: Path) -> None:
    large = photo(tmp_path / "photos/a.png", 403, 302)
    mask(tmp_path / "masks/a.png", 101, 76)
    assert masks_of(tmp_path / "masks", tmp_path / "photos", [large])


def test_a_photo_that_cannot_be_read_is_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    mask(tmp_path / "masks/a.png")
    assert masks_of(tmp_path / "masks", tmp_path, [tmp_path / "a.jpg", tmp_path / "gone.jpg"]) == {}


def test_a_folder_without_any_is_said_early(photos: list[Path], tmp_path: Path) -> None:
    mask(tmp_path / "masks/IMG_0.png")
    with pytest.raises(InputError, match=r"no picture in .*masks has the name of a photo in .*photos"):
        check_masks(tmp_path / "masks", tmp_path / "photos")
    mask(tmp_path / "masks/4.png")
    check_masks(tmp_path / "masks", tmp_path / "photos")


def test_samples_get_theirs(photos: list[Path], tmp_path: Path) -> None:
    members = tuple(Member(str(path), sha256_file(path), "photo of ana", "real", 0, 1.0) for path in photos)
    one = Mask(tmp_path / "masks/1.png", "abc")
    made = training_samples(Dataset(members), TRAINING, Beside(masks={photos[1]: one}), "prose", Recording())
    assert [sample.mask for sample in made] == [None, one, None, None, None]


def test_more_than_rounding_is_another_shape(tmp_path: Path) -> None:
    square = photo(tmp_path / "photos/a.png", 100, 100)
    mask(tmp_path / "masks/a.png", 103, 100)
    with pytest.raises(InputError, match=r"a\.png is 103 x 100"):
        masks_of(tmp_path / "masks", tmp_path / "photos", [square])


def test_a_mask_that_was_made_here_of_another_picture_is_told(tmp_path: Path) -> None:
    """A photo that was cut anew has the same name, and often the same shape."""
    one = photo(tmp_path / "photos/a.jpg")
    (tmp_path / "masks").mkdir()
    white = np.full((40, 60), 255, np.uint8)
    (tmp_path / "masks/a.png").write_bytes(mask_png(white, MaskOrigin(sha256_file(one), "u2net")))
    assert list(masks_of(tmp_path / "masks", tmp_path / "photos", [one])) == [one]
    Image.new("RGB", (60, 40), "red").save(one)
    with pytest.raises(InputError, match=r"a\.png was made of another content of a\.jpg; `twinloop masks` makes"):
        masks_of(tmp_path / "masks", tmp_path / "photos", [one])
