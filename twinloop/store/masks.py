"""Masks: grey pictures named as photos, which say where a photo is learned. White = learned, black = ignored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from twinloop.domain.records import Mask
from twinloop.errors import StateError, UnreadableImage
from twinloop.store.images import MASK_LABEL, find_images, opened_image, turn_of

LABEL = MASK_LABEL.removesuffix(".png")
_DEEP = 257
"""65535 / 255: what 16 bits are divided by."""
GreyArray = npt.NDArray[np.uint8]


def masks_in(folder: Path) -> Mapping[str, Path]:
    """Name of a photo without ending -> the picture that would be its mask; a PNG before others of the same name.

    Raises:
        InputError: no such folder, or one that may not be read.
    """
    found: dict[str, Path] = {}
    for path in sorted(find_images(folder, masks=True), key=lambda path: (path.suffix.lower() != ".png", str(path))):
        found.setdefault(path.stem, path)
    return found


def mask_beside(masks: Mapping[str, Path], photo: Path) -> Path | None:
    """The mask of a photo among those of a folder; a picture that lies beside the photo is one only if its name says so."""
    labelled, named = masks.get(photo.stem + LABEL), masks.get(photo.stem)
    if labelled is not None:
        return labelled
    return named if named is not None and named.parent.resolve() != photo.parent.resolve() else None


def read_mask(path: Path) -> tuple[GreyArray, str]:
    """The grey values of a mask (HxW, upright), and the sha256 of its file. Transparency does not matter: a colour counts as it is.

    Raises:
        UnreadableImage: with the reason.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"cannot be read: {error.strerror or error}") from error
    with opened_image(data) as image:
        image.load()
        turn = turn_of(image)
        upright = image if turn is None else image.transpose(turn)
        if upright.mode.startswith("I"):  # 16 bits, which Pillow would cut off at white
            grey = np.asarray((np.asarray(upright, np.int64) // _DEEP).clip(0, 255), np.uint8)
        else:
            grey = np.asarray(upright.convert("L"), np.uint8)
    return grey, hashlib.sha256(data).hexdigest()


def grey_of(mask: Mask) -> GreyArray:
    """The grey values of a mask whose file is what it was.

    Raises:
        StateError: it was changed, or is gone.
    """
    try:
        grey, sha256 = read_mask(mask.path)
    except UnreadableImage as error:
        raise StateError(f"The mask {mask.path} {error}. Put it back, or start anew with --restart.") from error
    if sha256 != mask.sha256:
        raise StateError(
            f"The mask {mask.path} was changed since this run began. Put it back, or start anew with --restart."
        )
    return grey


def fitted(grey: GreyArray, width: int, height: int) -> GreyArray:
    """A mask at the size of its photo."""
    if grey.shape == (height, width):
        return grey
    return np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR), np.uint8)
