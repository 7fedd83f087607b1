"""Masks: grey pictures named as photos, which say where a photo is learned. White = learned, black = ignored."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from twinloop.domain.records import Mask
from twinloop.errors import START_ANEW, InputError, StateError, UnreadableImage
from twinloop.store.pictures.image_texts import png_texts
from twinloop.store.pictures.images import MASK_LABEL, find_images, opened_image, turn_of
from twinloop.store.pictures.mask_marks import MADE_BY, PHOTO, PIXELS

LABEL = MASK_LABEL.removesuffix(".png")
MASKS_END = "_masks"
_DEEP = 257
"""65535 / 255: what 16 bits are divided by."""
GreyArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class MaskOrigin:
    """What a mask that this program made says of itself.

    Attributes:
        photo: sha256 of the photo that it was made of. made_by: fingerprint of what made it.
    """

    photo: str
    made_by: str


def masks_of_photos(photos: Iterable[Path], folder: Path, root: Path) -> dict[Path, Path]:
    """Photo -> the picture in ``folder`` that would be its mask, for those that have one.

    The mask at the photo's own place comes first: ``folder/trip/IMG_1.png`` for ``root/trip/IMG_1.jpg``. Without one,
    the name alone counts, of masks that lie at no other photo's place. A picture whose name says that it is a mask
    comes before others, then a PNG.

    Args:
        root: the folder of all photos; those elsewhere have masks by their names alone.

    Raises:
        InputError: no such folder, or one that may not be read; several masks for a photo, or several photos for a
            mask, by the name alone.
    """
    masks, everywhere = _masks_in(folder, root), _photos_in(root, folder)
    found = dict[Path, Path]()
    for photo in photos:
        named, place, namesakes = masks.get(photo.stem, {}), _place(photo, root), everywhere.get(photo.stem, {})
        mask = named.get(place) if place is not None else None
        if mask is None:
            mask = _by_name(photo, [path for at, path in named.items() if at not in namesakes])
            if mask is not None:
                _check_alone(mask, {other for at, other in namesakes.items() if at not in named} | {photo}, folder)
        if mask is not None:
            found[photo] = mask
    return found


def _masks_in(folder: Path, root: Path) -> Mapping[str, Mapping[Path, Path]]:
    """Name of a photo without ending -> where under the folder it has a mask -> that mask."""
    masks, photos = folder.resolve(), root.resolve()
    found: dict[str, dict[Path, Path]] = {}
    for path in sorted(find_images(folder, masks=True), key=_rank):
        place = path.parent.resolve()
        among_photos = photos.is_relative_to(masks) and place.is_relative_to(photos)
        # among the photos only those are masks whose names say so
        if path.stem.endswith(LABEL) or not among_photos:
            at = place.relative_to(photos if among_photos else masks)
            found.setdefault(path.stem.removesuffix(LABEL), {}).setdefault(at, path)
    return found


def _rank(path: Path) -> tuple[bool, bool, str]:
    return not path.stem.endswith(LABEL), path.suffix.lower() != ".png", str(path)


def _photos_in(root: Path, folder: Path) -> Mapping[str, Mapping[Path, Path]]:
    """Name of a photo without ending -> where under ``root`` there are such -> one of them; masks in a subfolder are
    none.
    """
    masks, photos = folder.resolve(), root.resolve()
    inside = masks != photos and masks.is_relative_to(photos)
    found: dict[str, dict[Path, Path]] = {}
    for path in find_images(root) if root.is_dir() else ():
        if not (inside and path.parent.resolve().is_relative_to(masks)):
            found.setdefault(path.stem, {})[path.parent.relative_to(root)] = path
    return found


def _place(photo: Path, root: Path) -> Path | None:
    """Where a photo lies under ``root``; None = elsewhere."""
    # not the photo itself, which may be a link to a file elsewhere
    here, whole = photo.parent.resolve(), root.resolve()
    return here.relative_to(whole) if here.is_relative_to(whole) else None


def _by_name(photo: Path, masks: Sequence[Path]) -> Path | None:
    if len(masks) > 1:
        raise InputError(
            f"training.masks: {photo} may have one of several masks: {', '.join(map(str, masks))}. "
            "Lay masks out as the photos are, in subfolders of the same names."
        )
    return masks[0] if masks else None


def _check_alone(mask: Path, photos: Set[Path], folder: Path) -> None:
    if len({photo.parent.resolve() for photo in photos}) > 1:
        raise InputError(
            f"training.masks: {mask} may be the mask of several photos: {', '.join(map(str, sorted(photos)))}. "
            f"Lay it into a subfolder of {folder} with the same name as the photo's."
        )


def read_mask(path: Path) -> tuple[GreyArray, str]:
    """The grey values of a mask (HxW, upright), and the sha256 of its file.

    Transparency does not matter: a colour counts as it is.

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


def mask_png(grey: GreyArray, origin: MaskOrigin) -> bytes:
    """A mask as a PNG that says what it was made of, and which grey values it was made with."""
    info = PngImagePlugin.PngInfo()
    info.add_text(PHOTO, origin.photo)
    info.add_text(MADE_BY, origin.made_by)
    info.add_text(PIXELS, _fingerprint(grey))
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG", pnginfo=info, compress_level=6)
    return out.getvalue()


def origin_of(data: bytes) -> MaskOrigin | None:
    """What a mask was made of; None = this program did not make the file, or somebody painted in it since."""
    texts = png_texts(data)
    if not {PHOTO, MADE_BY, PIXELS} <= texts.keys():
        return None
    with contextlib.suppress(UnreadableImage), opened_image(data) as image:
        # a painting program may keep the texts: only the grey values tell whether they are still those of here
        if image.mode == "L" and _fingerprint(np.asarray(image)) == texts[PIXELS]:
            return MaskOrigin(texts[PHOTO], texts[MADE_BY])
    return None


def _fingerprint(grey: GreyArray) -> str:
    """sha256 of the size and the grey values of a mask."""
    height, width = grey.shape
    return hashlib.sha256(f"{width}x{height}:".encode() + grey.tobytes()).hexdigest()


def masks_beside(photos: Path) -> Path:
    """Where the masks of a folder's photos lie, unless somebody wants them elsewhere: ``photos_masks``."""
    place = photos if photos.name not in ("", "..") else photos.resolve()
    return place.with_name(f"{place.name}{MASKS_END}")


def grey_of(mask: Mask) -> GreyArray:
    """The grey values of a mask whose file is what it was.

    Raises:
        StateError: it was changed, or is gone.
    """
    try:
        grey, sha256 = read_mask(mask.path)
    except UnreadableImage as error:
        raise StateError(f"The mask {mask.path} {error}. Put it back, or {START_ANEW}.") from error
    if sha256 != mask.sha256:
        raise StateError(f"The mask {mask.path} was changed since this run began. Put it back, or {START_ANEW}.")
    return grey


def fitted(grey: GreyArray, width: int, height: int) -> GreyArray:
    """A mask at the size of its photo."""
    if grey.shape == (height, width):
        return grey
    return np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR), np.uint8)
