"""Select: which photos of a folder make the dataset. Nothing is moved; what is left out is listed with the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twinloop.domain.observation import Observation
from twinloop.stages.observe import Seen
from twinloop.stages.pixels import hash_distance

NEAR_DUPLICATE_BITS = 4
BLURRED_BELOW = 0.12
"""Face sharpness as a share of the folder's median under which a photo counts as blurred."""
SAME_PERSON = 0.45
"""Cosine that links two photos of one person; tighter than the pair limit because links chain (see docs/science.md)."""
MAIN_PERSON_SHARE = 0.6
"""Only when so many of the faces are one person's are the others left out; otherwise the folder is about several people."""
ALIKE = 0.35
"""Least median cosine within that group. Single people have 0.46 and more (24 people of LFW, 15 of Caltech); on thumbnails the links
chain through everybody, and 14 people became one group with 0.23."""


@dataclass(frozen=True)
class Photo:
    """A file that can be used, with its observation."""

    path: Path
    seen: Observation


@dataclass(frozen=True)
class Selection:
    """The outcome. ``left_out`` holds (path, reason) in the order of the folder."""

    photos: tuple[Photo, ...]
    left_out: tuple[tuple[Path, str], ...]


Rule = Callable[[Sequence[Photo]], dict[Path, str]]
"""Looks at what is still in and names what should go, each with its reason."""


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


def no_face(photos: Sequence[Photo]) -> dict[Path, str]:
    """Photos in which no face was found, where faces were looked for."""
    return {p.path: "no face found" for p in photos if "faces" in p.seen.measured and not p.seen.faces}


def exact_duplicate(photos: Sequence[Photo]) -> dict[Path, str]:
    """The same bytes a second time."""
    first: dict[str, Path] = {}
    dropped: dict[Path, str] = {}
    for photo in photos:
        original = first.setdefault(photo.seen.sha256, photo.path)
        if original is not photo.path:
            dropped[photo.path] = f"same file as {original.name}"
    return dropped


def near_duplicate(photos: Sequence[Photo]) -> dict[Path, str]:
    """Nearly the same picture; the sharpest of a group stays. Synthetic images never push out a real photo."""

    def rank(photo: Photo) -> tuple[bool, float, str]:
        return (
            photo.seen.origin != "real",
            -photo.seen.measures.get("face_sharpness", photo.seen.measures["sharpness"]),
            photo.seen.sha256,
        )

    dropped: dict[Path, str] = {}
    kept: list[Photo] = []
    for photo in sorted(photos, key=rank):
        twin = next((k for k in kept if hash_distance(k.seen.phash, photo.seen.phash) <= NEAR_DUPLICATE_BITS), None)
        if twin is None:
            kept.append(photo)
        else:
            dropped[photo.path] = f"nearly the same picture as {twin.path.name}"
    return dropped


def blurred(photos: Sequence[Photo]) -> dict[Path, str]:
    """Faces far softer than the folder's own median."""
    sharp = {p.path: p.seen.measures["face_sharpness"] for p in photos if "face_sharpness" in p.seen.measures}
    if len(sharp) < 5:
        return {}
    limit = BLURRED_BELOW * float(np.median(list(sharp.values())))
    return {
        path: f"blurred (face sharpness {value:.0f}, the folder's limit is {limit:.0f})"
        for path, value in sharp.items()
        if value < limit
    }


def other_person(photos: Sequence[Photo]) -> dict[Path, str]:
    """Faces of other people, when one person clearly fills the folder.

    The main person = the largest group of photos linked by cosine >= SAME_PERSON, if it is large and alike enough. A photo outside it stays if its face is
    nearer to that person than half the usual similarity: profiles score low in every embedder and must not be lost.
    """
    known = [
        (p, p.seen.face.embedding) for p in photos if p.seen.face is not None and p.seen.face.embedding is not None
    ]
    if len(known) < 5:
        return {}
    vectors = np.stack([embedding for _, embedding in known])
    similarity = vectors @ vectors.T
    main = _largest_group(similarity >= SAME_PERSON)
    pairs = similarity[np.ix_(main, main)][np.triu_indices(len(main), 1)]
    if len(main) < MAIN_PERSON_SHARE * len(known) or np.median(pairs) < ALIKE:
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


def _largest_group(linked: npt.NDArray[np.bool_]) -> list[int]:
    unseen = set(range(len(linked)))
    best: list[int] = []
    while unseen:
        group = [unseen.pop()]
        for index in group:
            new = [other for other in np.flatnonzero(linked[index]) if other in unseen]
            unseen.difference_update(new)
            group.extend(int(other) for other in new)
        if len(group) > len(best):
            best = sorted(group)
    return best


READABLE_ONLY: tuple[Rule, ...] = ()
DATASET_RULES: tuple[Rule, ...] = (no_face, exact_duplicate, blurred, near_duplicate, other_person)
