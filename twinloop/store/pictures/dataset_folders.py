"""What names of folders say in a dataset that was prepared for kohya's sd-scripts: repeats, captions, regularization.

A folder ``10_ohwx woman`` counts as one of repeats where

1. the number is 1 to 1000 without leading zeros, and the rest is words: it does not begin with a number of its own
   (``10_05 wedding``) and holds no year (``2024_summer``, ``12_summer 2024``);
2. no picture lies loose beside it, since sd-scripts reads no such picture, and where it is the only one of its kind, no
   other folder of pictures does either;
3. the numbers of it and its siblings are not simply 1, 2, 3... with other words each: those put folders in order.

Of the dataset folder itself only the first holds. Files are never changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from twinloop.domain.captions import PEOPLE, plain
from twinloop.domain.wording import agree, plural, some
from twinloop.store.pictures.images import find_images
from twinloop.store.pictures.sidecar import caption_beside, has_more_lines, trigger_of

MOST_REPEATS = 1000
_REPEATS = re.compile(r"([1-9]\d{0,3})_(.*\S)")
_DATED = re.compile(r"\d+(?:\W|_|$)|.*(?<![^\W_])(?:19|20)\d\d(?![^\W_])")
"""Words that are part of a date or of another number, not a caption."""
_REGULARIZATION = re.compile(r"reg(?:ulari[sz]ation)?(?:[ _-]?images)?|prior_[1-9]\d*_.+", re.IGNORECASE)
"""kohya's habit, and the folders of a dataset that this program wrote for sd-scripts."""


@dataclass(frozen=True)
class Repeats:
    """A folder ``<number>_<words>``; ``words`` are the caption of its pictures that have none beside them."""

    folder: Path
    number: int
    words: str


@dataclass(frozen=True)
class DatasetFolders:
    """A dataset folder as it is understood.

    Attributes:
        images: of the subject, sorted by path.
        repeats: folders whose names say how often their pictures come.
        regularization: (folder, images in it) of others of the subject's class, which are not among ``images``.
        unread: folders whose names look like repeats and are not taken for them.
    """

    images: tuple[Path, ...] = ()
    repeats: tuple[Repeats, ...] = ()
    regularization: tuple[tuple[Path, int], ...] = ()
    unread: tuple[Path, ...] = ()

    def weight_of(self, image: Path) -> float:
        """1 for the most repeats and for pictures of which none are told, less in proportion."""
        own = self._of(image)
        return 1.0 if own is None else own.number / max(one.number for one in self.repeats)

    def words_of(self, image: Path) -> str | None:
        """The caption that the name of its folder gives a picture."""
        own = self._of(image)
        return None if own is None else own.words

    def _of(self, image: Path) -> Repeats | None:
        return _nearest(self.repeats, image)

    def remarks(self, prior: str | None = None) -> tuple[str, ...]:
        """What was understood, a sentence each, without its full stop; () of a folder of nothing but photos.

        Args:
            prior: the folder of prior images that are learned beside the subject. None = there is none.
        """
        lines = []
        if self.repeats:
            lines.append(self._understood())
        if self.unread:
            names = some([f"'{folder.name}'" for folder in self.unread])
            lines.append(
                f"The {agree(len(self.unread), 'number', 'numbers')} of {names} {agree(len(self.unread), 'is', 'are')}"
                " not taken for repeats of sd-scripts (docs/training.md says when they are)"
            )
        lines += [
            f"{folder}: {plural(count, 'regularization image')}, not taken for the subject"
            + ("" if prior is not None and _overlap(folder, Path(prior)) else _how_to_learn(folder, count))
            for folder, count in self.regularization
        ]
        if more := sum(map(has_more_lines, self.images)):
            lines.append(
                f"{plural(more, 'caption file')} {agree(more, 'has', 'have')} more than one line: the first is the"
                " caption, as sd-scripts reads it"
            )
        return tuple(lines)

    def _understood(self) -> str:
        own = {image: self._of(image) for image in self.images}
        told = []
        for one in self.repeats:
            inside = [image for image, found in own.items() if found == one]
            weight = one.number / max(other.number for other in self.repeats)
            told.append(f"'{one.number}_{one.words}' {plural(len(inside), 'picture')} of weight {weight:.3g}")
        bare = sum(found is not None and caption_beside(image) is None for image, found in own.items())
        words = f"; {bare} without a caption {agree(bare, 'gets', 'get')} the words of the folder" if bare else ""
        return f"Repeats from the names of folders, as in sd-scripts: {', '.join(told)}{words}"


PHOTOS_ONLY = DatasetFolders()
"""The names of its folders say nothing."""


def read_folders(folder: Path, *apart: str | None) -> DatasetFolders:
    """The images of a dataset folder, and what the names of folders in it say of them.

    Args:
        apart: folders of masks and of prior images; where one lies in the dataset folder, its pictures are no photos
            of the subject. None = there is none.

    Raises:
        InputError: as `find_images`.
    """
    found = find_images(folder)
    if not folder.is_dir():
        return DatasetFolders(tuple(found))
    images, regularization = _without(found, _named_regularization(found, folder))
    images = _outside(images, folder, apart)
    named = _named_repeats(images, folder)
    read = [one for one in named if one.folder == folder or _counts(one, named, images)]
    images, of_the_class = _without(images, [one.folder for one in read if _is_class(one, read)])
    in_use = {_nearest(read, image) for image in images}
    return DatasetFolders(
        tuple(images),
        tuple(one for one in read if one in in_use),
        (*regularization, *of_the_class),
        tuple(one.folder for one in named if one not in read),
    )


def subject_images(folder: Path, *apart: str | None) -> list[Path]:
    """As `find_images`, without regularization images. ``apart``: as in `read_folders`.

    Raises:
        InputError: as `find_images`.
    """
    return list(read_folders(folder, *apart).images)


def told_trigger(folder: Path) -> str | None:
    """The trigger of a dataset folder: what it was prepared with (`trigger_of`), or what all its folders of repeats are
    called, where that ends in a class of people (``10_ohwx woman``). None = nothing tells it.

    Raises:
        StateError: as `trigger_of`. InputError: as `find_images`.
    """
    prepared = trigger_of(folder)
    if prepared is not None or not folder.is_dir():
        return prepared
    named = {plain(one.words): one.words for one in read_folders(folder).repeats}
    if len(named) != 1:
        return None
    ((words, written),) = named.items()
    return written if len(words.split()) > 1 and words.split()[-1] in PEOPLE else None


def says_repeats(folder: Path) -> bool:
    """Whether the name of a folder alone reads as one of repeats (rule 1 of this module)."""
    return _parsed(folder, folder.resolve().name) is not None


def _how_to_learn(folder: Path, count: int) -> str:
    return (
        f'; to learn {agree(count, "it", "them")} beside it, set "training": {{"prior_images": "{folder.as_posix()}"}}'
    )


def _overlap(one: Path, other: Path) -> bool:
    """Whether two folders are the same, or one lies in the other."""
    one, other = one.resolve(), other.resolve()
    return one.is_relative_to(other) or other.is_relative_to(one)


def _nearest(repeats: Sequence[Repeats], image: Path) -> Repeats | None:
    around = [one for one in repeats if one.folder in image.parents]
    return max(around, key=lambda one: len(one.folder.parts), default=None)


def _without(images: Sequence[Path], folders: Sequence[Path]) -> tuple[list[Path], tuple[tuple[Path, int], ...]]:
    """The images outside of these folders, and how many each folder has; all of them stay where no other is left."""
    rest = [image for image in images if not any(folder in image.parents for folder in folders)]
    if not rest:
        return list(images), ()
    return rest, tuple((folder, sum(folder in image.parents for image in images)) for folder in folders)


def _outside(images: Sequence[Path], root: Path, apart: Sequence[str | None]) -> list[Path]:
    """The images that lie in none of these folders; one that is the root, or above it, hides nothing."""
    whole = root.resolve()
    hidden = [place for path in apart if path is not None and whole in (place := Path(path).resolve()).parents]
    return [image for image in images if not any(image.parent.resolve().is_relative_to(place) for place in hidden)]


def _below(images: Iterable[Path], root: Path, fits: Callable[[str], bool]) -> list[Path]:
    """Folders of a fitting name below ``root`` with images in them, each before those in it."""
    found = dict.fromkeys(
        place for image in images for place in reversed(image.parents) if root in place.parents and fits(place.name)
    )
    return list(found)


def _named_regularization(images: Sequence[Path], root: Path) -> list[Path]:
    found = _below(images, root, lambda name: _REGULARIZATION.fullmatch(name) is not None)
    return [place for place in found if not any(other in place.parents for other in found)]


def _named_repeats(images: Sequence[Path], root: Path) -> list[Repeats]:
    """Folders whose names can be repeats, the dataset folder included."""
    own = _parsed(root, root.resolve().name)
    below = _below(images, root, lambda name: _parsed(root, name) is not None)
    return [one for one in (own, *(_parsed(place, place.name) for place in below)) if one is not None]


def _parsed(folder: Path, name: str) -> Repeats | None:
    match = _REPEATS.fullmatch(name)
    if match is None or int(match[1]) > MOST_REPEATS or _DATED.match(match[2]):
        return None
    return Repeats(folder, int(match[1]), match[2].strip())


def _counts(one: Repeats, named: Sequence[Repeats], images: Sequence[Path]) -> bool:
    """Whether the number of a folder below the dataset folder says repeats, by what lies beside it."""
    parent = one.folder.parent
    siblings = [other for other in named if other.folder.parent == parent]
    if any(image.parent == parent for image in images):
        return False
    if len(siblings) == 1:
        return all(one.folder in image.parents for image in images if parent in image.parents)
    in_order = sorted(other.number for other in siblings) == list(range(1, len(siblings) + 1))
    different = len({plain(other.words) for other in siblings}) == len(siblings)
    return not (in_order and different) or any(_is_class(other, siblings) for other in siblings)


def _is_class(one: Repeats, read: Sequence[Repeats]) -> bool:
    """Whether it is named by the class alone ("woman") beside one of a subject of that class ("ohwx woman")."""
    word = plain(one.words)
    beside = [plain(other.words) for other in read if other.folder.parent == one.folder.parent]
    return word in PEOPLE and any(words.endswith(f" {word}") for words in beside)
