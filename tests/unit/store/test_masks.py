"""Masks on the disk: which picture is whose, and what its grey values are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from twinloop.domain.records import Mask
from twinloop.errors import InputError, StateError, UnreadableImage
from twinloop.store.images import find_images
from twinloop.store.masks import fitted, grey_of, mask_beside, masks_in, read_mask

RAMP = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)


def save(path: Path, pixels: np.ndarray = RAMP, **how: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **how)  # type: ignore[arg-type]
    return path


def test_names_tell_whose_it_is(tmp_path: Path) -> None:
    plain, png = save(tmp_path / "masks/IMG_1.jpg"), save(tmp_path / "masks/IMG_1.png")
    labelled = save(tmp_path / "masks/IMG_2-masklabel.png")
    save(tmp_path / "masks/IMG_2.png")
    masks = masks_in(tmp_path / "masks")
    assert plain.exists() and mask_beside(masks, Path("photos/IMG_1.jpeg")) == png
    assert mask_beside(masks, Path("photos/IMG_2.png")) == labelled
    assert mask_beside(masks, Path("photos/IMG_3.png")) is None and mask_beside(masks, Path("photos/img_1.png")) is None
    with pytest.raises(InputError, match="Folder not found"):
        masks_in(tmp_path / "nowhere")


def test_beside_its_photo_only_the_label_makes_it_a_mask(tmp_path: Path) -> None:
    photo, other = save(tmp_path / "IMG_1.jpg"), save(tmp_path / "IMG_2.png")
    label = save(tmp_path / "IMG_1-masklabel.png")
    masks = masks_in(tmp_path)
    assert mask_beside(masks, photo) == label and mask_beside(masks, other) is None
    assert find_images(tmp_path) == [photo, other], "a mask is no photo"


def test_all_kinds_of_grey_are_the_same(tmp_path: Path) -> None:
    clear = np.dstack([RAMP, RAMP, RAMP, np.zeros_like(RAMP)])
    kinds: dict[str, Any] = {
        "grey.png": RAMP, "colour.png": np.dstack([RAMP] * 3), "deep.png": RAMP.astype(np.uint16) * 257, "clear.png": clear,
        "bits.png": RAMP > 100,
    }  # fmt: skip
    for name, pixels in kinds.items():
        grey, _ = read_mask(save(tmp_path / name, pixels))
        assert np.array_equal(grey, (RAMP > 100) * 255 if name == "bits.png" else RAMP), name


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
