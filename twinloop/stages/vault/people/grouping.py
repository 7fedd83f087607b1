"""Faces -> people, without a reference: the whole of the method in a few lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twinloop.domain.faces import FloatArray
from twinloop.ports import NeighbourSearch
from twinloop.stages.vault.people.limits import Limits, limits_for
from twinloop.stages.vault.people.linkage import Linkage
from twinloop.stages.vault.people.neighbours import IntArray, Pairs, Tick, approximate_pairs, exact_pairs, silent

TRUSTED = 0.5
"""Quality from which an embedding is trusted fully. Poor faces look alike to an embedder, whoever they are of."""
STRANGER = -1
_ROWS = 4096


@dataclass(frozen=True, eq=False)
class FaceSet:
    """Faces to be told apart.

    Attributes:
        embeddings: (n, D) float32 of unit norm. quality: (n,) 0..1. photos: (n,) the number of the photo that each is
            on.
    """

    embeddings: FloatArray
    quality: FloatArray
    photos: IntArray


@dataclass(frozen=True, eq=False)
class Grouped:
    """labels: (n,) person of each face, from 0 in the order of their first faces; `STRANGER` for the rest."""

    labels: npt.NDArray[np.int64]
    limits: Limits


def group(
    faces: FaceSet,
    strangers: tuple[float, float] | None,
    least: int,
    chosen: float | None = None,
    search: NeighbourSearch | None = None,
    tick: Tick = silent,
) -> Grouped:
    """Who is who among faces.

    A poor face counts as a shorter vector (`TRUSTED`): it needs more likeness to join, and has less say in a group's
    mean. Groups are joined by average linkage; what is left goes to the person it is clearly nearest to.

    Args:
        least: faces that make a person. chosen: the user's limit. search: an approximate index; None = exact.
    """
    count = len(faces.embeddings)
    limits = limits_for(strangers, count, chosen=chosen)
    if not count:
        return Grouped(np.zeros(0, np.int64), limits)
    rows = np.asarray(faces.embeddings * np.sqrt(np.clip(faces.quality / TRUSTED, 0.0, 1.0))[:, None], np.float32)
    pairs = exact_pairs(rows, limits.link, tick) if search is None else approximate_pairs(rows, limits.link, search)
    linkage = Linkage(rows, faces.photos)
    linkage.join(pairs, limits.link)
    if not pairs.complete:
        _join_groups(linkage, 2, limits.link)
    limits = limits_for(strangers, count, len(linkage.groups(least)), chosen)
    _join_groups(linkage, least, limits.groups)
    return Grouped(_attached(faces, linkage, least, limits), limits)


def _join_groups(linkage: Linkage, least: int, limit: float) -> None:
    """Join whole groups, also those of which no two rows were near enough to be looked at."""
    while True:
        names = linkage.groups(least)
        found = exact_pairs(linkage.means(names), limit)
        if not linkage.join(
            Pairs(
                names[found.first].astype(np.int32), names[found.second].astype(np.int32), found.score, found.complete
            ),
            limit,
        ):
            return


def _attached(faces: FaceSet, linkage: Linkage, least: int, limits: Limits) -> npt.NDArray[np.int64]:
    """The groups that are people, numbered, each with the single faces that are clearly nearest to it."""
    names = linkage.groups(least)
    number = np.full(len(faces.embeddings) + 1, STRANGER, np.int64)
    number[names] = np.arange(len(names))
    labels = number[linkage.labels]
    loose = np.flatnonzero(labels == STRANGER)
    if not len(names) or not len(loose):
        return labels
    person, score = _nearest(faces.embeddings, loose, linkage.means(names), limits)
    taken = {(int(label), int(photo)) for label, photo in zip(labels, faces.photos, strict=True) if label != STRANGER}
    for place in np.argsort(-score, kind="stable"):
        mine = int(person[place]), int(faces.photos[loose[place]])
        if mine[0] != STRANGER and mine not in taken:
            taken.add(mine)
            labels[loose[place]] = mine[0]
    return labels


def _nearest(
    embeddings: FloatArray, loose: npt.NDArray[np.int64], means: FloatArray, limits: Limits
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """The person that each loose face belongs to, `STRANGER` where there is none or two are about as near; and how
    near.
    """
    person, score = np.full(len(loose), STRANGER, np.int64), np.full(len(loose), -1.0, np.float32)
    for start in range(0, len(loose), _ROWS):
        likeness = embeddings[loose[start : start + _ROWS]] @ means.T
        best = likeness.argmax(axis=1)
        top = likeness[np.arange(len(best)), best]
        likeness[np.arange(len(best)), best] = -np.inf
        clear = (top >= limits.attach) & (top - likeness.max(axis=1) >= limits.margin)
        person[start : start + _ROWS] = np.where(clear, best, STRANGER)
        score[start : start + _ROWS] = top
    return person, score
