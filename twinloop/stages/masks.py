"""Finding the masks of photos, and whether they fit; asked before anything long starts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from twinloop.domain.records import Mask
from twinloop.domain.wording import plural
from twinloop.errors import InputError, UnreadableImage
from twinloop.ports import Reporter
from twinloop.store.pictures.images import find_images, upright_size
from twinloop.store.pictures.masks import masks_of_photos, origin_of, read_mask

ALIKE = 0.02
"""Share by which the aspect ratio of a mask may differ from its photo's: small masks are rounded."""
_NAMED = 3
"""Mistakes that are told one by one."""


def check_masks(folder: Path, photos: Path) -> None:
    """Whether a folder has masks of photos of another, and all of them can be used.

    Raises:
        InputError: none, or one that is wrong; says which.
    """
    if not masks_of(folder, photos, find_images(photos)):
        raise InputError(
            f"training.masks: no picture in {folder} has the name of a photo in {photos}. The mask of IMG_1.jpg is"
            " IMG_1.png, or IMG_1-masklabel.png."
        )


def masks_of(folder: Path, root: Path, photos: Iterable[Path]) -> dict[Path, Mask]:
    """Photo -> its mask, for those that have one. A photo that cannot be read has none: others tell that.

    Args:
        root: the folder in which the photos lie; a mask is looked for at the same place in ``folder`` first.

    Raises:
        InputError: masks that cannot be read, are black all over, have another shape than their photo, were made here
            of another content of it, or may be of several.
    """
    found, wrong = dict[Path, Mask](), list[str]()
    for photo, path in masks_of_photos(photos, folder, root).items():
        data, size = _read(photo)
        if size is None:
            continue
        try:
            grey, sha256 = read_mask(path)
        except UnreadableImage as error:
            wrong.append(f"{path} {error}")
            continue
        height, width = grey.shape
        content, origin = hashlib.sha256(data).hexdigest(), origin_of(path.read_bytes())
        if abs(width * size[1] / (height * size[0]) - 1) > ALIKE:
            wrong.append(f"{path} is {width} x {height}, and the photo is seen as {size[0]} x {size[1]}")
        elif not grey.any():
            wrong.append(f"{path} is black all over, so that nothing would be learned")
        elif origin is not None and origin.photo != content:
            wrong.append(f"{path} was made of another content of {photo.name}; `twinloop masks` makes it anew")
        found[photo] = Mask(path, sha256, content)
    if wrong:
        more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise InputError(f"training.masks: {'; '.join(wrong[:_NAMED])}{more}. Correct them or move them away.")
    return found


def say_how_many(masks: int, photos: int, reporter: Reporter) -> None:
    """Tell how many pictures have a mask."""
    reporter.line(f"{masks} of {plural(photos, 'picture')} with a mask; where there is none, all of it is learned")


def _read(photo: Path) -> tuple[bytes, tuple[int, int] | None]:
    """A photo's file, and its width and height as it is seen; None = it cannot be read."""
    try:
        data = photo.read_bytes()
        return data, upright_size(data)
    except (OSError, UnreadableImage):
        return b"", None
