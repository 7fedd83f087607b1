"""New photos after a split or a "not this person": they go where the decided faces went that they are like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from twinloop.domain.faces import FloatArray
from twinloop.domain.vault import Decision, FaceKey
from twinloop.stages.vault.people.key_index import KeyIndex
from twinloop.stages.vault.people.membership import faces_of
from twinloop.stages.vault.people.record import Found, Moved, people_of

_MOVING = ("split", "reject", "assign")


def following(
    found: Found, known: KeyIndex, decisions: Sequence[Decision], vectors: Mapping[FaceKey, FloatArray], margin: float
) -> dict[FaceKey, Moved]:
    """Where the faces of a group go that are new and like faces which a decision took out of that group.

    Clustering put both into one group, so it would put the next photo there as well, and the user would have to say it
    again.

    Args:
        known: the faces that the user could see before. vectors: the embeddings. margin: cosine by which a face must be
            nearer, on average.
    """
    people = people_of(found, decisions)
    owner = {key: person.id for person in people.persons for key in person.faces}
    number = _deciding(KeyIndex(key for keys in found.groups.values() for key in keys), decisions)
    moved: dict[FaceKey, Moved] = {}
    for group, keys in found.groups.items():
        home = people.merged.get(group, group)
        gone: dict[str | None, list[FaceKey]] = {}
        for key in keys:
            if key in number and owner.get(key) != home:
                gone.setdefault(owner.get(key), []).append(key)
        new = dict.fromkeys(key for key in keys if gone and key not in number and known.find(key) is None)
        if not new:
            continue
        stay = _mean(vectors[key] for key in keys if key in vectors and key not in number and key not in new)
        means = {person: _mean(vectors[key] for key in theirs if key in vectors) for person, theirs in gone.items()}
        last = {person: max(number[key] for key in theirs) for person, theirs in gone.items()}
        for key in new:
            person, likeness = _likest(vectors[key], means)
            if likeness >= _likeness(vectors[key], stay) + margin:
                moved[key] = Moved(person, last[person])
    return moved


def _deciding(faces: KeyIndex, decisions: Iterable[Decision]) -> dict[FaceKey, int]:
    """Face -> the last decision that moved it."""
    return {
        key: made.number for made in decisions if made.kind in _MOVING for key in faces.find_all(faces_of(made.data))
    }


def _likest(vector: FloatArray, means: Mapping[str | None, FloatArray | None]) -> tuple[str | None, float]:
    scores = [(_likeness(vector, mean), person or "", person) for person, mean in means.items()]
    best = max(scores)
    return best[2], best[0]


def _mean(vectors: Iterable[FloatArray]) -> FloatArray | None:
    """(D,): the mean of unit vectors, whose product with another one is the average cosine; None = of nobody."""
    known = list(vectors)
    return np.mean(known, axis=0, dtype=np.float64) if known else None


def _likeness(vector: FloatArray, mean: FloatArray | None) -> float:
    """Average cosine; -1 where there is nobody."""
    return -1.0 if mean is None else float(mean @ vector)
