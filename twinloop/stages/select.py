"""Select: which photos of a folder make the dataset. Nothing is moved; what is left out is listed with the reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from twinloop.domain.likeness import Likeness
from twinloop.domain.observation import Observation
from twinloop.domain.wording import agree, by_reason, none_can_be_used, plural
from twinloop.errors import NothingToDo, UnreadableImage
from twinloop.ports import Reporter
from twinloop.stages.faceless import LOOK_FOR_NONE, few_faces_message
from twinloop.stages.observe import Observer, Seen, observe_files, recall_files
from twinloop.stages.selection_rules import NO_FACE, Photo, Rule, several_people
from twinloop.store.pictures.dataset_folders import DatasetFolders, read_folders
from twinloop.store.pictures.images import load_image
from twinloop.store.pictures.provenance import made_here
from twinloop.store.run.catalog import Catalog
from twinloop.system import shell

REASONS_TOLD = 3
"""How many kinds of reasons are told, where no photo can be used."""
DRAWN = (
    "Every image carries the mark of a generator: they are taken as the originals of a character that has no photos."
)
FEW_FACES_OF = 5
"""Of so many images and more it is told where the demo's detectors find faces on less than half of them."""


@dataclass(frozen=True)
class Reading:
    """How a folder of photos is understood.

    Attributes:
        rules: what leaves pictures out. character: the subject is a drawn one (`originals`).
        prior, masks: folders of the prior images and of the photos' masks, which are no photos of the subject; None =
            there is none.
    """

    rules: tuple[Rule, ...]
    character: bool
    prior: str | None
    masks: str | None


@dataclass(frozen=True)
class Selection:
    """The outcome. ``left_out`` holds (path, reason) in the order of the folder.

    Attributes:
        all_made: all images were made by a generator, and are taken as the originals of a character that has no photos.
        made_elsewhere: so many of the photos carry the mark of a generator that is not this program.
    """

    photos: tuple[Photo, ...]
    left_out: tuple[tuple[Path, str], ...]
    all_made: bool = False
    made_elsewhere: int = 0


@dataclass(frozen=True)
class Photos:
    """A folder of photos, observed. ``found`` = every file in order; ``selection`` = which of them make the dataset;
    ``folders`` = what the names of folders in it say.
    """

    folder: Path
    found: tuple[Seen, ...]
    selection: Selection
    folders: DatasetFolders


def look_at(folder: Path, reading: Reading, observer: Observer, catalog: Catalog, reporter: Reporter) -> Photos:
    """Observe a folder and select from it. What the names of its folders mean is told. Files that cannot be read are
    named, and so is that it seems to show several people, or pictures that the detectors are not made for.

    Raises:
        InputError: no such folder. NothingToDo: nothing in it can be used; says why.
    """
    folders = read_folders(folder, reading.prior, reading.masks)
    for remark in folders.remarks(reading.prior):
        reporter.line(f"{remark}.")
    found = tuple(observe_files(folders.images, observer, catalog, reporter, "Observing"))
    for names, problem in by_reason((item.path.name, item.problem) for item in found if item.problem):
        reporter.warn(f"skipped {names}: {problem}")
    if strange := strange_pictures_message(found, observer, reading.character):
        reporter.warn(strange)
    selection = originals(select(found, reading.rules), character=reading.character)
    if not selection.photos:
        raise NothingToDo(_no_photos_message(folder, selection.left_out))
    if several := several_people_message(selection.photos, str(folder), observer.pack.likeness):
        reporter.warn(several)
    return Photos(folder, found, selection, folders)


def recall(folder: Path, reading: Reading, observer: Observer, catalog: Catalog) -> Photos | None:
    """As `look_at`, where the catalogue knows every picture that can be read; None where it lacks one. Nothing is
    measured or told; there may be no photo that can be used.

    Raises:
        InputError: no such folder.
    """
    folders = read_folders(folder, reading.prior, reading.masks)
    found = recall_files(folders.images, observer, catalog)
    if found is None:
        return None
    return Photos(folder, found, originals(select(found, reading.rules), character=reading.character), folders)


def look_without_detectors(folder: Path, reading: Reading) -> Photos:
    """Select from a folder by nothing but its files.

    Args:
        reading: by rules that need no detector: `UNMEASURED`, or `READABLE_ONLY`.

    Raises:
        InputError: no such folder.
    """
    folders = read_folders(folder, reading.prior, reading.masks)
    found = tuple(_read(path) for path in folders.images)
    selection = originals(select(found, reading.rules), character=reading.character)
    return Photos(folder, found, selection, folders)


def left_out_faceless_message(photos: Photos) -> str:
    """What is to be said where most of a folder is left out because no face was found; "" where it is not."""
    bare = sum(reason == NO_FACE for _, reason in photos.selection.left_out)
    return few_faces_message(bare, len(photos.found))


def _read(path: Path) -> Seen:
    try:
        image = load_image(path)
    except UnreadableImage as error:
        return Seen(path, None, str(error))
    height, width = image.pixels.shape[:2]
    unmeasured = Observation(
        image.sha256, width, height, faces=(), parts=(), measures={}, measured=frozenset(), phash="", fingerprint="",
        origin=image.origin,
    )  # fmt: skip
    return Seen(path, unmeasured)


def _no_photos_message(folder: Path, left_out: Sequence[tuple[Path, str]]) -> str:
    """Why nothing is left: the most frequent kinds of reasons, each with its first file."""
    if not left_out:
        return (
            f"No images in {folder}. Put photos of the person there (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC, raw)."
        )
    alike: dict[str, list[tuple[Path, str]]] = {}
    for path, reason in left_out:
        alike.setdefault(kind_of_reason(reason), []).append((path, reason))
    told, way = [], ""
    for entries in sorted(alike.values(), key=len, reverse=True)[:REASONS_TOLD]:
        path, reason = entries[0]
        more = f", and {len(entries) - 1} more like it" if len(entries) > 1 else ""
        told.append(f"\n  - {path.name}: {reason}{more}")
        way = way or (f"\n{LOOK_FOR_NONE}" if reason == NO_FACE else "")
    return f"{none_can_be_used(len(left_out), 'image', f'in {folder}')}:{''.join(told)}{way}"


def several_people_message(photos: Sequence[Photo], folder: str, likeness: Likeness) -> str:
    """What is to be said where the photos seem to show more than one person; "" where they do not."""
    people = several_people(photos, likeness)
    if not people:
        return ""
    counts = f"{', '.join(map(str, people[:-1]))} and {people[-1]}"
    return (
        f"the photos seem to show {len(people)} people ({counts} photos), and what is made of them would mix them up."
        f" Sort out one: twinloop vault run {shell.quote(folder)} --person NAME --reference A_PHOTO"
    )


def strange_pictures_message(found: Sequence[Seen], observer: Observer, character: bool) -> str:
    """What is to be said where the demo's detectors are asked of other pictures: of a drawn ``character``, or of some
    on which they find few faces; "" = nothing.
    """
    looked = [item.observation for item in found if item.observation is not None]
    faces = sum(bool(seen.faces) for seen in looked)
    few = len(looked) >= FEW_FACES_OF and 2 * faces < len(looked)
    if not observer.pack.demo or observer.pack.faceless or not (few or character):
        return ""
    return (
        f"the detectors '{observer.pack.name}', which find a face on {faces} of {plural(len(looked), 'image')}, are"
        " made for the people that the demo draws, not for photos and not for anime. Name a folder of model files as"
        " models_dir (docs/model-files.md says which)."
    )


def kind_of_reason(reason: str) -> str:
    """A reason why a photo is left out, without its own figures and the names of other files: many share it."""
    return re.sub(r" as .*", " as another", re.split(r":| \(", reason)[0])


def select(found: Sequence[Seen], rules: Sequence[Rule]) -> Selection:
    """Apply rules one after the other; each sees what the earlier ones left."""
    left_out: dict[Path, str] = {item.path: item.problem for item in found if item.observation is None}
    kept = [Photo(item.path, item.observation) for item in found if item.observation is not None]
    for rule in rules:
        dropped = rule(kept)
        left_out.update(dropped)
        kept = [photo for photo in kept if photo.path not in dropped]
    order = {item.path: number for number, item in enumerate(found)}
    return Selection(tuple(kept), tuple(sorted(left_out.items(), key=lambda entry: order[entry[0]])))


def originals(selection: Selection, *, character: bool) -> Selection:
    """The same; images with the mark of a generator that are what a character looks like count as photos do: all, where
    every one carries it, and of a ``character`` those that this program did not make.
    """
    made = [photo.path for photo in selection.photos if photo.seen.origin != "real"]
    elsewhere = {path for path in made if not made_here(path)}
    alone = bool(made) and len(made) == len(selection.photos)
    taken = set(made) if alone else elsewhere if character else set[Path]()
    photos = tuple(
        replace(photo, seen=replace(photo.seen, origin="real")) if photo.path in taken else photo
        for photo in selection.photos
    )
    return replace(selection, photos=photos, all_made=alone, made_elsewhere=len(elsewhere))


def made_message(images: int, elsewhere: int, all_made: bool, character: bool) -> str:
    """What is to be said of the images that a generator made; "" where there are none.

    Args:
        images: that are used. elsewhere, all_made: as in `Selection`. character: as in `originals`.
    """
    if all_made:
        return DRAWN
    if not elsewhere:
        return ""
    counted = (
        f"{elsewhere} of the {plural(images, 'image')} {agree(elsewhere, 'says', 'say')} that another generator made"
    )
    if character:
        return f"{counted} {agree(elsewhere, 'it: it counts', 'them: they count')} as originals of the character."
    return (
        f"{counted} {agree(elsewhere, 'it: it counts', 'them: they count')} as generated images, which weigh less and"
        " are no more than merge.max_synthetic_share allows. Where they show what a character looks like, say so:"
        ' "subject": "character".'
    )
