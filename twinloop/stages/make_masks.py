"""Making masks: where each photo shows its subject, as a grey picture of the same name."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from twinloop.domain.faces import Face, ImageArray
from twinloop.errors import InputError, MaskFailed, UnreadableImage
from twinloop.ports import Masker, Reporter
from twinloop.store.atomic import write_bytes
from twinloop.store.pictures.images import MASK_LABEL, load_image
from twinloop.store.pictures.masks import MaskOrigin, mask_png, origin_of
from twinloop.store.run.workspace import shown_path

FaceFinder = Callable[[ImageArray], Sequence[Face]]
"""The faces of a picture (uint8 HxWx3 RGB), the subject's first."""


class _NameTooLong(Exception):
    """The name of a mask is longer than the file system takes, where that of its photo is not."""


class MaskState(StrEnum):
    """MADE: now. KEPT: it was there. OTHERS: one is there that this program did not make. NONE: there is none."""

    MADE = "made"
    KEPT = "kept"
    OTHERS = "not made here"
    NONE = "none"


@dataclass(frozen=True)
class MaskMade:
    """What became of the mask of one photo.

    Attributes:
        problem: why none could be made, as part of a sentence that names the photo; "" = one was, or there was no need.
        share: of the picture that is learned, 0..1, where it was made now.
        beside: others who are in it as well. alone: whether no face was found, so that all that is marked was taken.
        otherwise: it is there and was made in another way than is asked for now.
        unmarked: whether the network, or the look for a face, is why none was made.
        clash: another photo whose mask would lie in the same place.
    """

    photo: Path
    mask: Path
    state: MaskState
    problem: str = ""
    share: float | None = None
    beside: int = 0
    alone: bool = False
    otherwise: bool = False
    unmarked: bool = False
    clash: Path | None = None


def places_of(photos: Iterable[Path], root: Path, folder: Path) -> dict[Path, Path]:
    """Photo -> where its mask goes: below ``folder`` at the photo's own place below ``root``; of one that lies
    elsewhere (a made image) by its name alone.

    In the photos' own folder masks are called as OneTrainer has them: others would be taken for photos.
    """
    whole = root.resolve()
    end = MASK_LABEL if folder.resolve() == whole else ".png"
    places = {}
    for photo in photos:
        here = photo.parent.resolve()  # not the photo itself, which may be a link to a file elsewhere
        at = here.relative_to(whole) if here.is_relative_to(whole) else Path()
        places[photo] = folder / at / f"{photo.stem}{end}"
    return places


def make_masks(
    places: Mapping[Path, Path], masker: Masker, faces: FaceFinder | None, again: bool, reporter: Reporter
) -> Iterator[MaskMade]:
    """Make the masks that are not there, one after the other.

    One that was made of an earlier content of its photo is made anew. Files that this program did not make stay.

    Args:
        places: as `places_of`. faces: None = no face is looked for, and all that is marked is the subject.
        again: make also those anew that are there.

    Raises:
        ModelFileError: the network is no such network. StorageError: disk full, no permission.
    """
    shared = _shared(places)
    for number, (photo, place) in enumerate(places.items(), 1):
        if photo in shared:
            other = shared[photo]
            problem = f"its mask would have the name of that of {shown_path(other)}"
            yield MaskMade(photo, place, MaskState.NONE, problem, clash=other)
        else:
            yield _one(photo, place, masker, faces, again)
        reporter.progress("Masking", number, len(places))


def _shared(places: Mapping[Path, Path]) -> dict[Path, Path]:
    """Photo -> another whose mask would have the same name."""
    by_place: dict[str, list[Path]] = {}
    for photo, place in places.items():
        by_place.setdefault(str(place), []).append(photo)
    return {
        photo: next(other for other in alike if other != photo)
        for alike in by_place.values()
        if len(alike) > 1
        for photo in alike
    }


def _one(photo: Path, place: Path, masker: Masker, faces: FaceFinder | None, again: bool) -> MaskMade:
    try:
        there = _there(place)
    except _NameTooLong as error:
        return MaskMade(photo, place, MaskState.NONE, str(error))
    origin = None if there is None else origin_of(there)
    if there is not None and origin is None:
        return MaskMade(photo, place, MaskState.OTHERS)
    try:
        content, way = _content(photo), _way(masker, faces)
        kept = origin is not None and origin.photo == content
        otherwise = kept and origin is not None and origin.made_by != way
        if kept and not again:
            return MaskMade(photo, place, MaskState.KEPT, otherwise=otherwise)
        image = load_image(photo)
    except UnreadableImage as error:
        return MaskMade(photo, place, MaskState.NONE, str(error))
    found = faces(image.pixels) if faces is not None else ()
    try:
        made = masker.mask(image.pixels, found)
    except MaskFailed as error:
        if not kept:
            place.unlink(missing_ok=True)  # of an earlier content of the photo
        state = MaskState.KEPT if kept else MaskState.NONE
        return MaskMade(photo, place, state, str(error), otherwise=otherwise, unmarked=True)
    write_bytes(place, mask_png(made.grey, MaskOrigin(image.sha256, way)))
    return MaskMade(
        photo,
        place,
        MaskState.MADE,
        share=round(float(made.grey.mean()) / 255, 4),
        beside=made.beside,
        alone=faces is not None and not found,
    )


def _way(masker: Masker, faces: FaceFinder | None) -> str:
    """How masks are made, as they say it of themselves."""
    return masker.fingerprint if faces is not None else f"{masker.fingerprint}-everyone"


def _there(place: Path) -> bytes | None:
    """The file that lies where a mask goes; None = none.

    Raises:
        _NameTooLong: no file system holds such a name. InputError: no file lies there, or one that may not be read.
    """
    try:
        return place.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise _NameTooLong("the name of its mask would be too long: give it a shorter one") from error
        raise InputError(f"{place} is in the way: {error.strerror or error}. Move it away.") from error


def _content(photo: Path) -> str:
    """sha256 of a photo's file.

    Raises:
        UnreadableImage: with the reason.
    """
    try:
        return hashlib.sha256(photo.read_bytes()).hexdigest()
    except OSError as error:
        raise UnreadableImage(f"cannot be read: {error.strerror or error}") from error
