"""Which files of a prepared folder were written here, by its person.json and by the notes of a preparation that was
killed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.file_names import is_inside
from twinloop.errors import StateError
from twinloop.stages.vault.dataset.folder.owner import owner_of
from twinloop.store.atomic import fsync_folder, read_json, sha256_file, storage_errors
from twinloop.store.journal import Journal
from twinloop.store.pictures.images import SUFFIXES
from twinloop.store.pictures.mask_marks import is_marked_mask
from twinloop.store.pictures.masks import LABEL, MASKS_END, masks_beside, origin_of
from twinloop.store.pictures.sidecar import NOTES, PERSON


@dataclass(frozen=True)
class Origin:
    """What a file of ours was made of: ``photo`` = sha256 of the source, "" = none; ``key`` =
    of the cut, "" for words.
    """

    photo: str = ""
    key: str = ""


Written = tuple[str, str, Origin]
"""Name below the folder, sha256 of the bytes that were written there, and what they were made of."""


def recorded(record: Mapping[str, Any]) -> Iterator[Written]:
    """What a person.json says of its files."""
    for item in record.get("files", ()):
        yield item["file"], item["sha256"], Origin(item["photo"], item["key"])


def noted(notes: Journal) -> Iterator[Written]:
    """What the notes of a preparation say."""
    for number in range(1, len(notes) + 1):
        name, digest, photo, key = notes.get(str(number))
        yield name, digest, Origin(photo, key)


def is_prepared(folder: Path) -> bool:
    """Whether `prep` wrote into a folder, also where it was killed before it wrote whose it is."""
    return owner_of(folder) is not None or (folder / NOTES).is_file()


def holds_masks(folder: Path) -> bool:
    """Whether a folder is that of the masks of a training set beside it, and no training set."""
    name = folder.name.removesuffix(MASKS_END)
    return name not in ("", folder.name) and folder.with_name(name).is_dir() and not is_prepared(folder)


def mask_folders(organized: Path) -> list[Path]:
    """The folders between training sets that are called as those of masks, whether their set is still there or not."""
    return [folder for folder in sorted(organized.glob(f"*{MASKS_END}")) if folder.is_dir() and not is_prepared(folder)]


def masks_made_of(folder: Path, contents: Set[str] | None = None) -> list[Path]:
    """The masks that this program made of a training set's pictures: beside the folder, or under a name of their own
    in it.

    Args:
        contents: sha256 of the pictures that are meant; None = all.
    """
    beside = masks_beside(folder)
    labelled = sorted(folder.rglob(f"*{LABEL}.png")) if folder.is_dir() else []
    return [*(_masks_in(beside, contents) if holds_masks(beside) else ()), *_made_here(labelled, contents)]


def _masks_in(folder: Path, contents: Set[str] | None = None) -> list[Path]:
    return _made_here(sorted(folder.rglob("*.png")), contents)


def _made_here(paths: Iterable[Path], contents: Set[str] | None) -> list[Path]:
    return [path for path in paths if (of := _made_of(path)) is not None and (contents is None or of in contents)]


def _made_of(path: Path) -> str | None:
    """sha256 of the picture that a mask was made of; None = it is not a file, or was not made here."""
    if not is_marked_mask(path):
        return None
    with contextlib.suppress(OSError):
        origin = origin_of(path.read_bytes())
        return None if origin is None else origin.photo
    return None


@dataclass(frozen=True)
class OwnFiles:
    """What is to go of a prepared folder, and what is not.

    Attributes:
        folder: of the training set. ours: files in the order in which they go, the masks that were made of it first;
            the record of whose they are is the last.
        others: files, links and folders that the user put there, or pictures that were changed since: they stay. So do
            other files among the masks.
        masks: folders outside of it that hold masks of ours.
    """

    folder: Path
    ours: tuple[Path, ...]
    others: tuple[Path, ...]
    masks: tuple[Path, ...] = ()

    @classmethod
    def of(cls, folder: Path, masks_elsewhere: Iterable[Path] = ()) -> OwnFiles:
        """Look into a folder that was prepared.

        Words that were written here are ours also where the user changed them: they describe the same person.

        Args:
            masks_elsewhere: folders of masks of other training sets, or of none that is there. In them those are ours
                that were made of a picture of this set: it may have had another name then.
        """
        known: dict[str, set[str]] = {}
        for name, digest, _ in written(folder):
            known.setdefault(name, set()).add(digest)
        records = (folder / NOTES, folder / PERSON)
        beside, ours = masks_beside(folder), masks_made_of(folder)
        contents = frozenset(digest for digests in known.values() for digest in digests)
        for elsewhere in masks_elsewhere:
            ours += _masks_in(elsewhere, contents) if elsewhere != beside else []
        masks = set(ours)
        around = tuple(place for place in (beside, *masks_elsewhere) if any(place in path.parents for path in masks))
        others = [path for path in _entries(beside) if path not in masks] if holds_masks(beside) else []
        for path in _entries(folder):
            if path not in records and path not in masks:
                name = path.relative_to(folder).as_posix()
                (ours if name in known and _is_ours(path, known[name]) else others).append(path)
        there = (path for path in records if path.exists())
        return cls(folder, (*ours, *there), tuple(others), tuple(dict.fromkeys(around)))

    @classmethod
    def of_masks(cls, folder: Path) -> OwnFiles:
        """Look into a folder of masks whose training set is not there: ours are those that were made here."""
        ours = _masks_in(folder)
        return cls(folder, tuple(ours), tuple(path for path in _entries(folder) if path not in set(ours)))

    @property
    def places(self) -> tuple[Path, ...]:
        """The folder, and those of its masks where some of them were made here."""
        return (self.folder, *self.masks)

    def remove(self) -> None:
        """Delete what is ours, and the folder where nothing else is in it.

        Killed at any point and called again, it deletes the rest.

        Raises:
            StorageError: a file may not be removed.
        """
        with storage_errors(self.folder):
            for path in self.ours:
                path.unlink(missing_ok=True)
                if path.parent != self.folder:
                    remove_empty(path.parent)
            for place in (masks_beside(self.folder), *self.masks):
                remove_empty(place)
        fsync_folder(self.folder)
        remove_empty(self.folder)
        fsync_folder(self.folder.parent)


def remove_empty(folder: Path) -> None:
    """Delete a folder, or the link to it, where nothing is in it any more."""
    with contextlib.suppress(OSError):  # something is in it
        if not folder.is_symlink():
            folder.rmdir()
        elif not any(folder.iterdir()):
            folder.unlink()


def written(folder: Path) -> Iterator[Written]:
    """All that person.json and the notes say of files in the folder; where one cannot be read, it says nothing."""
    return (entry for entry in _said(folder) if isinstance(entry[0], str) and is_inside(entry[0]))


def _said(folder: Path) -> Iterator[Written]:
    with contextlib.suppress(StateError, KeyError, TypeError):
        record = read_json(folder / PERSON) if (folder / PERSON).is_file() else {}
        yield from recorded(record if isinstance(record, dict) else {})
    with contextlib.suppress(StateError):
        yield from noted(Journal(folder / NOTES, mend=False))


def _entries(folder: Path) -> Iterator[Path]:
    """Every file and link below a folder, and every empty folder; links are not followed."""
    for top, folders, files in os.walk(folder):
        here = Path(top)
        yield from (here / name for name in sorted(files))
        yield from (here / name for name in sorted(folders) if (here / name).is_symlink())
        if not folders and not files and here != folder:
            yield here


def _is_ours(path: Path, digests: set[str]) -> bool:
    if not path.is_file():
        return False
    return path.suffix.lower() not in SUFFIXES or sha256_file(path) in digests
