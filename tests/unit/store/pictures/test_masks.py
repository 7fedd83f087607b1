"""Masks on the disk: which picture is whose, and what its grey values are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from twinloop.domain.records import Mask
from twinloop.errors import InputError, StateError, UnreadableImage
from twinloop.store.pictures.images import find_images
from twinloop.store.pictures.mask_marks import is_marked_mask
from twinloop.store.pictures.masks import MaskOrigin, fitted, grey_of, mask_png, masks_of_photos, origin_of, read_mask

RAMP = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)


def save(path: Path, pixels: np.ndarray = RAMP, **how: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **how)  # type: ignore[arg-type]
    return path


def one(photo: Path, masks: Path) -> Path | None:
    return masks_of_photos([photo], masks, photo.parent).get(photo)


def test_names_tell_whose_it_is(tmp_path: Path) -> None:
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    plain, png = save(masks / "IMG_1.jpg"), save(masks / "IMG_1.png")
    labelled = save(masks / "IMG_2-masklabel.png")
    save(masks / "IMG_2.png")
    assert plain.exists() and one(photos / "IMG_1.jpeg", masks) == png
    assert one(photos / "IMG_2.png", masks) == labelled
    assert one(photos / "IMG_3.png", masks) is None and one(photos / "img_1.png", masks) is None
    with pytest.raises(InputError, match="Folder not found"):
        one(photos / "IMG_1.png", tmp_path / "nowhere")


def test_beside_its_photo_only_the_label_makes_it_a_mask(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    photo, other, namesake = save(folder / "IMG_1.jpg"), save(folder / "IMG_2.png"), save(folder / "b/IMG_2.png")
    label = save(folder / "IMG_1-masklabel.png")
    for masks in (folder, tmp_path):
        assert masks_of_photos([photo, other, namesake], masks, folder) == {photo: label}
    assert find_images(folder) == [photo, other, namesake], "a mask is no photo"


def test_masks_lie_where_the_photos_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cameras count from the same number; also where paths are relative, or the masks lie in the photos' folder."""
    monkeypatch.chdir(tmp_path)
    photos = [save(Path("photos") / place / "IMG_1.jpg") for place in ("a", "b", "c")]
    for folder in (Path("masks"), Path("photos/masks")):
        masks = [save(folder / place / "IMG_1.png") for place in ("a", "b")]
        found = dict(zip(photos, masks, strict=False))
        assert masks_of_photos(photos, folder, tmp_path / "photos") == found, "and the third has none"
        assert masks_of_photos(photos[2:], folder, Path("photos")) == {}, "also where the others are not trained on"


def test_a_name_alone_must_be_clear(tmp_path: Path) -> None:
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    photo, deep = save(photos / "IMG_1.jpg"), save(masks / "x/IMG_1.png")
    assert masks_of_photos([photo], masks, photos) == {photo: deep}
    second = save(masks / "y/IMG_1.jpg")
    with pytest.raises(InputError, match=f"training.masks: {photo} may have one of several masks: {deep}, {second}"):
        masks_of_photos([photo], masks, photos)
    save(masks / "IMG_1.png")
    assert one(photo, masks) == masks / "IMG_1.png", "its own place comes first"
    others = [save(photos / place / "IMG_2.jpg") for place in ("a", "b")]
    flat = save(masks / "IMG_2.png")
    for asked in (others, others[:1]):
        with pytest.raises(
            InputError, match=f"training.masks: {flat} may be the mask of several photos: {others[0]}, {others[1]}"
        ):
            masks_of_photos(asked, masks, photos)
    own = save(masks / "a/IMG_2.png")
    assert masks_of_photos(others, masks, photos) == {others[0]: own, others[1]: flat}


def test_photos_of_one_name_in_one_folder_share_a_mask(tmp_path: Path) -> None:
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    twins = [save(photos / name) for name in ("IMG_1.jpg", "IMG_1.png")]
    mask = save(masks / "x/IMG_1.png")
    assert masks_of_photos(twins, masks, photos) == dict.fromkeys(twins, mask)


def test_elsewhere_the_name_counts(tmp_path: Path) -> None:
    """An image of an earlier round, say."""
    made, mask = save(tmp_path / "out/made_1.png"), save(tmp_path / "masks/made_1.png")
    assert masks_of_photos([made], tmp_path / "masks", tmp_path / "photos") == {made: mask}


def test_all_kinds_of_grey_are_the_same(tmp_path: Path) -> None:
    clear = np.dstack([RAMP, RAMP, RAMP, np.zeros_like(RAMP)])
    kinds: dict[str, Any] = {
        "grey.png": RAMP,
        "colour.png": np.dstack([RAMP] * 3),
        "deep.png": RAMP.astype(np.uint16) * 257,
        "clear.png": clear,
        "bits.png": RAMP > 100,
    }
    for name, pixels in kinds.items():
        grey, _ = read_mask(save(tmp_path / name, pixels))
        assert np.array_equal(grey, (RAMP > 100) * 255 if name == "bits.png" else RAMP), name


def test_what_is_whiter_than_white_is_white(tmp_path: Path) -> None:
    grey, _ = read_mask(save(tmp_path / "deep.tif", np.array([[-5, 0, 65_535, 70_000]], np.int32)))
    assert grey.tolist() == [[0, 0, 255, 255]]


def test_exif_turns_a_mask_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    grey, _ = read_mask(save(tmp_path / "a.png", np.rot90(RAMP).copy(), exif=exif))
    assert np.array_equal(grey, RAMP)


def test_a_damaged_one_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(UnreadableImage):
        read_mask(tmp_path / "a.png")
    with pytest.raises(UnreadableImage, match="cannot be read"):
        read_mask(tmp_path / "b.png")


def test_a_mask_that_is_no_longer_the_same_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    mask = Mask(path, read_mask(path)[1])
    assert np.array_equal(grey_of(mask), RAMP)
    save(path, 255 - RAMP)
    with pytest.raises(StateError, match=r"a\.png was changed since"):
        grey_of(mask)
    path.unlink()
    with pytest.raises(StateError, match=r"a\.png cannot be read"):
        grey_of(mask)


def test_at_the_size_of_the_photo() -> None:
    assert fitted(RAMP, 6, 4) is RAMP
    assert fitted(RAMP, 60, 40).shape == (40, 60) and fitted(RAMP, 3, 2).shape == (2, 3)


def test_a_name_that_says_mask_comes_before_a_png(tmp_path: Path) -> None:
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    labelled = save(masks / "IMG_1-masklabel.jpg")
    save(masks / "IMG_1.png")
    assert one(photos / "IMG_1.jpeg", masks) == labelled


def test_a_mask_is_made_here_only_while_its_grey_values_are_those_of_here(tmp_path: Path) -> None:
    """Some painting programs keep the texts of a PNG."""
    data = mask_png(RAMP, MaskOrigin("ab", "half-1"))
    assert origin_of(data) == MaskOrigin("ab", "half-1")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with Image.open(path) as image:
        texts = PngImagePlugin.PngInfo()
        for keyword, text in image.text.items():  # type: ignore[attr-defined]
            texts.add_text(keyword, text)
    save(path, RAMP, pnginfo=texts, compress_level=1)
    assert origin_of(path.read_bytes()) == MaskOrigin("ab", "half-1"), "saved again as it was"
    painted = RAMP.copy()
    painted[0, 0] = 255
    for pixels in (painted, RAMP.T.copy(), np.dstack([RAMP] * 3)):
        save(path, pixels, pnginfo=texts)
        assert origin_of(path.read_bytes()) is None
        assert is_marked_mask(path), "it is no photo for all that"
    assert origin_of(data[:-40]) is None, "cut short"


def test_a_mask_of_here_is_no_photo_wherever_it_lies(tmp_path: Path) -> None:
    photo = save(tmp_path / "photos/a.png", np.dstack([RAMP] * 3))
    data = mask_png(RAMP, MaskOrigin("ab", "half-1"))
    for name in ("a-masklabel.png", "gone-masklabel.png", "10_x y_masks/a.png", "b.PNG"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    assert find_images(tmp_path / "photos") == [photo]
    assert len(find_images(tmp_path / "photos", masks=True)) == 5
