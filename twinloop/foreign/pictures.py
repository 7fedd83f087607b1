"""A dataset as other trainers take it: folders of pictures, a .txt with the caption beside each, one number of repeats
per folder.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from twinloop.domain.records import Mask, TrainingSample
from twinloop.domain.wording import NO_PHOTO_TO_TRAIN_ON
from twinloop.errors import NothingToDo, StateError
from twinloop.store.atomic import sha256_file, storage_errors, write_bytes
from twinloop.store.pictures.colours import has_other_colours
from twinloop.store.pictures.images import load_image
from twinloop.store.pictures.provenance import clean_png

READ_EVERYWHERE = (".jpg", ".jpeg", ".png", ".webp")
"""Endings that every trainer here reads."""
_STEPS = 20
"""Weights become repeats: the largest is so many before they are divided by what all have in common; 5 % is the
coarsest error."""


@dataclass(frozen=True)
class Picture:
    """One picture.

    ``stem``: its name in the new folder; ``as_it_is``: the file itself will do (format, upright); ``mask``: where it is
    learned.
    """

    stem: str
    source: Path
    caption: str
    as_it_is: bool
    mask: Mask | None = None

    @property
    def suffix(self) -> str:
        return self.source.suffix.lower() if self.as_it_is else ".png"

    @property
    def file(self) -> str:
        return f"{self.stem}{self.suffix}"


@dataclass(frozen=True)
class Folder:
    """Pictures that are drawn equally often. ``prior``: of other people of the class, for prior preservation."""

    name: str
    repeats: int
    pictures: tuple[Picture, ...]
    prior: bool = False


def repeats_of(weights: Sequence[float]) -> list[int]:
    """Whole numbers in the proportion of the weights, as small as they go."""
    top = max(weights)
    counts = [max(1, round(_STEPS * weight / top)) for weight in weights]
    common = math.gcd(*counts)
    return [count // common for count in counts]


def folders_of(samples: Sequence[TrainingSample], trigger: str, class_word: str = "") -> tuple[Folder, ...]:
    """The samples by number of repeats, most first, then the prior images, each once: programs draw as many of these as
    of the others. Names are those of kohya's convention, ``<repeats>_<trigger>``, and ``prior_1_<class word>``.

    Raises:
        NothingToDo: no sample with a weight. StateError: a photo changed since it was looked at, or is gone.
    """
    usable = [sample for sample in samples if sample.weight > 0]
    weights = [sample.weight for sample in usable if not sample.prior]
    if not weights:
        raise NothingToDo(NO_PHOTO_TO_TRAIN_ON)
    repeats_left = iter(repeats_of(weights))
    groups: dict[tuple[bool, int], list[Picture]] = {}
    for number, sample in enumerate(usable):
        repeats = 1 if sample.prior else next(repeats_left)
        groups.setdefault((sample.prior, repeats), []).append(_picture(number, sample))
    return tuple(
        Folder(
            f"prior_{repeats}_{_words(class_word)}" if prior else f"{repeats}_{_words(trigger)}",
            repeats,
            tuple(groups[prior, repeats]),
            prior,
        )
        for prior, repeats in sorted(groups, key=lambda key: (key[0], -key[1]))
    )


def _words(text: str) -> str:
    """As the name of a folder may have them."""
    return " ".join(re.sub(r"[^\w-]+", " ", text).split()) or "person"


def _picture(number: int, sample: TrainingSample) -> Picture:
    if not sample.path.is_file() or sha256_file(sample.path) != sample.sha256:
        raise StateError(
            f"{sample.path} is gone or changed since the dataset was put together. Run the same command again."
        )
    return Picture(f"{number:04d}_{sample.sha256[:8]}", sample.path, sample.caption, _ready(sample.path), sample.mask)


def _ready(path: Path) -> bool:
    """Whether other programs see the same picture: a common format, no turn that only EXIF tells, no colours that only
    a profile tells, nothing transparent, no more than 8 bits.
    """
    if path.suffix.lower() not in READ_EVERYWHERE:
        return False
    try:
        with Image.open(path) as image:
            return (
                image.format in ("JPEG", "PNG", "WEBP")
                and image.mode in ("RGB", "L")
                and not image.has_transparency_data
                and not has_other_colours(image)
                and image.getexif().get(ExifTags.Base.Orientation, 1) == 1
            )
    except (OSError, ValueError, SyntaxError):
        return False


def write_folders(root: Path, folders: Sequence[Folder]) -> None:
    """Write the dataset for a program on this machine.

    Files are linked where that is possible: nothing writes into them.

    Raises:
        UnreadableImage: a photo is damaged. StorageError: disk full, no permission.
    """
    for folder in folders:
        place = root / folder.name
        with storage_errors(place):
            place.mkdir(parents=True, exist_ok=True)
        for picture in folder.pictures:
            target = place / picture.file
            if not target.exists():
                _put(picture, target)
            write_bytes(place / f"{picture.stem}.txt", (picture.caption + "\n").encode())


def _put(picture: Picture, target: Path) -> None:
    if picture.as_it_is:
        with contextlib.suppress(OSError):  # another file system, or one without links
            os.link(picture.source.resolve(), target)  # of a symbolic link the file: the link may be relative
            return
        write_bytes(target, picture.source.read_bytes())
        return
    write_bytes(target, converted(picture.source))


def converted(source: Path) -> bytes:
    """A photo as an upright PNG without its metadata; the mark of what a model made stays.

    Raises:
        UnreadableImage: it is damaged.
    """
    loaded = load_image(source)
    return clean_png(Image.fromarray(loaded.pixels), loaded.origin == "synthetic")
