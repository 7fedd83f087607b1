"""Select: which photos of a folder make the dataset. Nothing is moved; what is left out is listed with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from twinloop.domain.likeness import Likeness
from twinloop.domain.observation import Observation
from twinloop.domain.wording import agree, by_reason, none_can_be_used, plural
from twinloop.errors import NothingToDo, UnreadableImage
from twinloop.ports import Reporter
from twinloop.stages.observe import Observer, Seen, observe_files
from twinloop.stages.pixels import hash_distance
from twinloop.stages.vault.copies.alignment import Thumbnail, Window
from twinloop.stages.vault.copies.likeness import differs_in_a_face
from twinloop.store.pictures.dataset_folders import DatasetFolders, read_folders
from twinloop.store.pictures.images import load_image
from twinloop.store.pictures.provenance import made_here
from twinloop.store.run.catalog import Catalog
from twinloop.system import shell

NEAR_DUPLICATE_BITS = 4
THUMBNAIL_SIDE = 256
"""Pixels of the longer side at which faces of near duplicates are compared."""
_BLURRED_BELOW = 0.12
"""Face sharpness as a share of the median under which a photo counts as blurred."""
_FEWEST_FOR_BLUR = 5
"""With fewer photos there is no median to be blurred against."""
MAIN_PERSON_SHARE = 0.6
"""Only when so many of the faces are one person's are the others left out; otherwise the folder is about several
people."""
FEWEST_OF_A_PERSON = 3
REASONS_TOLD = 3
"""How many kinds of reasons are told, where no photo can be used."""
DRAWN = (
    "Every image carries the mark of a generator: they are taken as the originals of a character that has no photos."
)
FACELESS = (
    'If they show a character without a face (a robot, an animal), look for none: "validation": {"faces": false} in the'
    ' configuration; or take every readable image: --keep-all (train and analyze), "analysis": {"keep_all": true}.'
)
NO_FACE = "no face found"
FEW_FACES_OF = 5
"""Of so many images and more it is told where the demo's detectors find faces on less than half of them."""


@dataclass(frozen=True)
class Photo:
    """A file that can be used, with its observation."""

    path: Path
    seen: Observation


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


Rule = Callable[[Sequence[Photo]], dict[Path, str]]
"""Looks at what is still in and names what should go, each with its reason."""


@dataclass(frozen=True)
class Photos:
    """A folder of photos, observed. ``found`` = every file in order; ``selection`` = which of them make the dataset;
    ``folders`` = what the names of folders in it say.
    """

    folder: Path
    found: tuple[Seen, ...]
    selection: Selection
    folders: DatasetFolders


def look_at(
    folder: Path,
    rules: Sequence[Rule],
    observer: Observer,
    catalog: Catalog,
    reporter: Reporter,
    *,
    character: bool,
    prior: str | None,
    masks: str | None,
) -> Photos:
    """Observe a folder and select from it. What the names of its folders mean is told. Files that cannot be read are
    named, and so is that it seems to show several people, or pictures that the detectors are not made for.

    Args:
        character: the subject is a drawn one (`originals`). prior, masks: folders of the prior images and of the
            photos' masks, which are no photos of the subject; None = there is none.

    Raises:
        InputError: no such folder. NothingToDo: nothing in it can be used; says why.
    """
    folders = read_folders(folder, prior, masks)
    for remark in folders.remarks(prior):
        reporter.line(f"{remark}.")
    found = tuple(observe_files(folders.images, observer, catalog, reporter, "Observing"))
    for names, problem in by_reason((item.path.name, item.problem) for item in found if item.problem):
        reporter.warn(f"skipped {names}: {problem}")
    if strange := strange_pictures_message(found, observer, character):
        reporter.warn(strange)
    selection = originals(select(found, rules), character=character)
    if not selection.photos:
        raise NothingToDo(_no_photos_message(folder, selection.left_out))
    if several := several_people_message(selection.photos, str(folder), observer.pack.likeness):
        reporter.warn(several)
    return Photos(folder, found, selection, folders)


def look_without_detectors(
    folder: Path, rules: Sequence[Rule], *, character: bool, prior: str | None, masks: str | None
) -> Photos:
    """Select from a folder by nothing but its files.

    Args:
        rules: `UNMEASURED`, or `READABLE_ONLY`. character, prior, masks: as in `look_at`.

    Raises:
        InputError: no such folder.
    """
    folders = read_folders(folder, prior, masks)
    found = tuple(_read(path) for path in folders.images)
    return Photos(folder, found, originals(select(found, rules), character=character), folders)


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
        way = way or (f"\n{FACELESS}" if reason == NO_FACE else "")
    return f"{none_can_be_used(len(left_out), 'image', f'in {folder}')}:{''.join(told)}{way}"


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
        f"{counted} {agree(elsewhere, 'it: it counts', 'them: they count')} as made images, which weigh less and are no"
        ' more than merge.max_synthetic_share allows. Where they show what a character looks like, say so: "subject":'
        ' "character".'
    )


def no_face(photos: Sequence[Photo]) -> dict[Path, str]:
    """Photos in which no face was found, where faces were looked for."""
    return {p.path: NO_FACE for p in photos if "faces" in p.seen.measured and not p.seen.faces}


def exact_duplicate(photos: Sequence[Photo]) -> dict[Path, str]:
    """The same bytes a second time."""
    first: dict[str, Path] = {}
    dropped: dict[Path, str] = {}
    for photo in photos:
        original = first.setdefault(photo.seen.sha256, photo.path)
        if original is not photo.path:
            dropped[photo.path] = f"same file as {original.name}"
    return dropped


def near_duplicate(photos: Sequence[Photo], *, character: bool) -> dict[Path, str]:
    """Nearly the same picture; the sharpest of a group stays. Synthetic images never push out a real photo.

    Args:
        character: of a drawn one, whose states differ in nothing but a face: those are kept apart. Photos of a burst
            differ there, too, by a turn of the head, and one of them is enough.
    """

    def rank(photo: Photo) -> tuple[bool, float, str]:
        return (
            photo.seen.origin != "real",
            -photo.seen.measures.get("face_sharpness", photo.seen.measures["sharpness"]),
            photo.seen.sha256,
        )

    dropped: dict[Path, str] = {}
    kept: list[Photo] = []
    for photo in sorted(photos, key=rank):
        near = (k for k in kept if hash_distance(k.seen.phash, photo.seen.phash) <= NEAR_DUPLICATE_BITS)
        twin = next((k for k in near if not (character and _other_expression(k, photo))), None)
        if twin is None:
            kept.append(photo)
        else:
            dropped[photo.path] = f"nearly the same picture as {twin.path.name}"
    return dropped


def _other_expression(a: Photo, b: Photo) -> bool:
    """Whether two pictures with nearly the same hash differ in a face, as the states of a drawn character do. Files
    that cannot be read any more do not.
    """
    if not (a.seen.faces and b.seen.faces):
        return False
    try:
        return differs_in_a_face(_thumbnail(a.path), _thumbnail(b.path), _places(a.seen), _places(b.seen))
    except UnreadableImage:
        return False


def _thumbnail(path: Path) -> Thumbnail:
    image = Image.fromarray(load_image(path).pixels).convert("L")
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.HAMMING)
    return Thumbnail(image)


def _places(seen: Observation) -> list[Window]:
    """Of the faces, as shares of the picture."""
    inside = (face.box.clipped(seen.width, seen.height) for face in seen.faces)
    return [(box.x0 / seen.width, box.y0 / seen.height, box.x1 / seen.width, box.y1 / seen.height) for box in inside]


def blur_limit(sharpness: Sequence[float]) -> float:
    """Under which face sharpness one of these counts as blurred; 0 where there are too few for a median."""
    return _BLURRED_BELOW * float(np.median(sharpness)) if len(sharpness) >= _FEWEST_FOR_BLUR else 0.0


def blurred(photos: Sequence[Photo]) -> dict[Path, str]:
    """Faces far softer than the folder's own median."""
    sharp = {p.path: p.seen.measures["face_sharpness"] for p in photos if "face_sharpness" in p.seen.measures}
    limit = blur_limit(list(sharp.values()))
    return {
        path: f"blurred (face sharpness {value:.0f}, the folder's limit is {limit:.0f})"
        for path, value in sharp.items()
        if value < limit
    }


def other_person(photos: Sequence[Photo], *, likeness: Likeness) -> dict[Path, str]:
    """Faces of other people, when one person clearly fills the folder.

    The main person = the largest group of photos linked by cosine (`Likeness.same_person`), if it is large and alike
    enough. A photo outside it stays if its face is nearer to that person than half the usual similarity: profiles score
    low in every embedder and must not be lost.
    """
    known = [(p, p.seen.embedding) for p in photos if p.seen.embedding is not None]
    if len(known) < 5:
        return {}
    vectors = np.stack([embedding for _, embedding in known])
    similarity = vectors @ vectors.T
    main = _largest_group(similarity >= likeness.same_person)
    pairs = similarity[np.ix_(main, main)][np.triu_indices(len(main), 1)]
    if len(main) < MAIN_PERSON_SHARE * len(known) or np.median(pairs) < likeness.alike:
        return {}
    inside = np.zeros(len(known), bool)
    inside[main] = True
    top = np.sort(similarity[:, inside], axis=1)[:, -5:]
    usual = float(np.median(top[inside][:, :-1].mean(axis=1)))
    return {
        photo.path: f"another person (similarity {score:.2f}, this person's photos have about {usual:.2f})"
        for (photo, _), score, member in zip(known, top.mean(axis=1), inside, strict=True)
        if not member and score < usual / 2 + 0.1
    }


def several_people(photos: Sequence[Photo], likeness: Likeness) -> tuple[int, ...]:
    """How many photos each of several people has, the most first; () where the photos may well show one person.

    Counted are groups of faces that are alike within and clearly not alike between each other. A single person can fall
    into groups, too (profiles, sunglasses), but these are nearer to each other than strangers are.
    """
    faces = [p.seen.embedding for p in photos if p.seen.embedding is not None]
    if len(faces) < 2 * FEWEST_OF_A_PERSON:
        return ()
    similarity = np.stack(faces) @ np.stack(faces).T
    people: list[list[int]] = []
    for group in sorted(_groups(similarity >= likeness.same_person), key=len, reverse=True):
        alike = np.median(similarity[np.ix_(group, group)][np.triu_indices(len(group), 1)]) if len(group) > 1 else 0.0
        apart = all(np.median(similarity[np.ix_(group, other)]) < likeness.apart for other in people)
        if len(group) >= FEWEST_OF_A_PERSON and alike >= likeness.alike and apart:
            people.append(group)
    return tuple(len(group) for group in people) if len(people) > 1 else ()


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


def _largest_group(linked: npt.NDArray[np.bool_]) -> list[int]:
    return max(_groups(linked), key=len)


def _groups(linked: npt.NDArray[np.bool_]) -> list[list[int]]:
    """Connected components, in the order of their first member."""
    unseen = set(range(len(linked)))
    groups = []
    for first in range(len(linked)):
        if first not in unseen:
            continue
        unseen.remove(first)
        group = [first]
        for index in group:
            new = [int(other) for other in np.flatnonzero(linked[index]) if other in unseen]
            unseen.difference_update(new)
            group.extend(new)
        groups.append(sorted(group))
    return groups


READABLE_ONLY: tuple[Rule, ...] = ()
UNMEASURED: tuple[Rule, ...] = (exact_duplicate,)
"""Of `dataset_rules` those that need no detector."""


def dataset_rules(likeness: Likeness, *, character: bool) -> tuple[Rule, ...]:
    """What a dataset is made by. ``likeness``: of the embedder that measured the photos. ``character``: as in
    `near_duplicate`.
    """
    alike, other = partial(near_duplicate, character=character), partial(other_person, likeness=likeness)
    return (no_face, exact_duplicate, blurred, alike, other)
