"""The rules by which photos of a folder are left out of a dataset, and who the people in it are, as groups of faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from twinloop.domain.faces import FloatArray
from twinloop.domain.likeness import Likeness
from twinloop.domain.observation import Observation
from twinloop.errors import UnreadableImage
from twinloop.stages.pixels import blur_limit
from twinloop.stages.same_picture.alignment import Thumbnail, Window
from twinloop.stages.same_picture.likeness import differs_in_a_face
from twinloop.store.pictures.images import load_image

NO_FACE = "no face found"
NEAR_DUPLICATE_BITS = 4
THUMBNAIL_SIDE = 256
"""Pixels of the longer side at which faces of near duplicates are compared."""
MAIN_PERSON_SHARE = 0.6
"""Only when so many of the faces are one person's are the others left out; otherwise the folder is about several
people."""
FEWEST_OF_A_PERSON = 3
NEAREST = 5
"""Of a person's photos, by which a photo is told to be theirs."""
_ROWS = 512
"""Of a table of all photos that are looked at in one piece."""


@dataclass(frozen=True)
class Photo:
    """A file that can be used, with its observation."""

    path: Path
    seen: Observation


Rule = Callable[[Sequence[Photo]], dict[Path, str]]
"""Looks at what is still in and names what should go, each with its reason."""


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
    hashes = np.zeros(len(photos), np.uint64)
    for photo in sorted(photos, key=rank):
        hashed = np.uint64(int(photo.seen.phash, 16))
        differing = np.bitwise_count(hashes[: len(kept)] ^ hashed)
        near = (kept[place] for place in np.flatnonzero(differing <= NEAR_DUPLICATE_BITS))
        twin = next((k for k in near if not (character and _other_expression(k, photo))), None)
        if twin is None:
            hashes[len(kept)] = hashed
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
    if len(main) < MAIN_PERSON_SHARE * len(known) or _usual_within(similarity, main) < likeness.alike:
        return {}
    inside = np.zeros(len(known), bool)
    inside[main] = True
    top = _highest(similarity, main)
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
        if (
            len(group) >= FEWEST_OF_A_PERSON
            and _usual_within(similarity, group) >= likeness.alike
            and all(np.median(similarity[np.ix_(group, other)]) < likeness.apart for other in people)
        ):
            people.append(group)
    return tuple(len(group) for group in people) if len(people) > 1 else ()


def _largest_group(linked: npt.NDArray[np.bool_]) -> list[int]:
    return max(_groups(linked), key=len)


def _groups(linked: npt.NDArray[np.bool_]) -> list[list[int]]:
    """Connected components, in the order of their first member."""
    unseen = np.ones(len(linked), bool)
    groups = []
    for first in range(len(linked)):
        if not unseen[first]:
            continue
        unseen[first] = False
        group = [first]
        for index in group:
            new = np.flatnonzero(linked[index] & unseen)
            unseen[new] = False
            group.extend(new.tolist())
        groups.append(sorted(group))
    return groups


def _usual_within(similarity: FloatArray, group: Sequence[int]) -> np.floating:
    """Median similarity of the pairs of a group."""
    members = np.array(group)
    pairs = np.empty(len(group) * (len(group) - 1) // 2, similarity.dtype)
    end = 0
    for place, member in enumerate(members, 1):  # row by row: the numbers of all pairs take more room than their values
        others = members[place:]
        pairs[end : end + len(others)] = similarity[member, others]
        end += len(others)
    return np.median(pairs, overwrite_input=True)


def _highest(similarity: FloatArray, members: Sequence[int]) -> FloatArray:
    """(n, 5) the highest similarities of each to the members of a group, rising; (n, m) with fewer members."""
    count = min(NEAREST, len(members))
    top = np.empty((len(similarity), count), similarity.dtype)
    for start in range(0, len(similarity), _ROWS):
        rows = similarity[start : start + _ROWS, members]
        rows.partition(rows.shape[1] - count, axis=1)
        top[start : start + _ROWS] = np.sort(rows[:, rows.shape[1] - count :], axis=1)
    return top


READABLE_ONLY: tuple[Rule, ...] = ()
UNMEASURED: tuple[Rule, ...] = (exact_duplicate,)
"""Of `dataset_rules` those that need no detector."""


def dataset_rules(likeness: Likeness, *, character: bool) -> tuple[Rule, ...]:
    """What a dataset is made by. ``likeness``: of the embedder that measured the photos. ``character``: as in
    `near_duplicate`.
    """
    alike, other = partial(near_duplicate, character=character), partial(other_person, likeness=likeness)
    return (no_face, exact_duplicate, blurred, alike, other)
