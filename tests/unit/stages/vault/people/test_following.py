"""New faces go where the decided ones went that they are like: with thousands of them as with a few."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from tests.unit.stages.vault.makers import clustered
from tests.unit.stages.vault.people.makers import key_of, strangers, unit
from twinloop.domain.faces import FloatArray
from twinloop.domain.vault import Decision, FaceKey
from twinloop.stages.vault.people.following import following
from twinloop.stages.vault.people.key_index import KeyIndex
from twinloop.stages.vault.people.record import Found, Moved

MARGIN = 0.02


class Counted(FaceKey):
    """A face that counts how often it is compared with another one."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return isinstance(other, FaceKey) and (self.sha256, self.box) == (other.sha256, other.box)

    __hash__ = FaceKey.__hash__


class Looked(Mapping[FaceKey, FloatArray]):
    """Vectors by face that count how often one is looked up."""

    def __init__(self, vectors: dict[FaceKey, FloatArray]) -> None:
        self._vectors, self.count = vectors, 0

    def __getitem__(self, key: FaceKey) -> FloatArray:
        self.count += 1
        return self._vectors[key]

    def __iter__(self) -> Iterator[FaceKey]:
        return iter(self._vectors)

    def __len__(self) -> int:
        return len(self._vectors)


def group(count: int, seed: int = 0) -> tuple[Found, list[Decision], dict[FaceKey, FloatArray], KeyIndex]:
    """One group in four equal parts: faces that stay, that a split took to p002, that were rejected, and new ones;
    ``count`` of each.
    """
    keys: list[FaceKey] = [Counted(key.sha256, key.box) for key in (key_of(f"{n}.jpg") for n in range(4 * count))]
    centres = strangers(3, seed)
    noise = strangers(len(keys), seed + 1)
    vectors = {
        key: unit(centres[number % 3 if number >= 3 * count else number // count] + 0.8 * noise[number])
        for number, key in enumerate(keys)
    }
    split, rejected = ([key.to_json() for key in keys[at * count : (at + 1) * count]] for at in (1, 2))
    decisions = [
        Decision(1, "split", {"person": "p001", "faces": split, "new": "p002"}, ""),
        Decision(2, "reject", {"person": "p001", "faces": rejected}, ""),
    ]
    found = clustered({"p001": tuple(keys)}, "eyes")
    return found, decisions, vectors, KeyIndex(keys[: 3 * count])


def one_by_one(found: Found, vectors: Mapping[FaceKey, FloatArray], count: int) -> dict[FaceKey, Moved]:
    """The same rule, face by face: every cosine, and their mean."""
    keys = found.groups["p001"]
    stay, two, nobody = (np.stack([vectors[key] for key in keys[at * count : (at + 1) * count]]) for at in range(3))
    moved = {}
    for key in keys[3 * count :]:
        here, there, nowhere = (float(np.mean(rows @ vectors[key])) for rows in (stay, two, nobody))
        if max(there, nowhere) >= here + MARGIN:
            moved[key] = Moved("p002", 1) if there > nowhere else Moved(None, 2)
    return moved


@pytest.mark.parametrize("seed", range(3))
def test_each_goes_where_its_average_cosine_is_highest(seed: int) -> None:
    found, decisions, vectors, known = group(20, seed)
    moved = following(found, known, decisions, vectors, MARGIN)
    assert moved == one_by_one(found, vectors, 20)
    assert 0 < len(moved) < 20 and {to.person for to in moved.values()} == {"p002", None}


def test_where_nobody_has_a_vector_nobody_is_followed() -> None:
    found, decisions, vectors, known = group(5)
    keys = found.groups["p001"]
    assert following(found, known, decisions, {key: vectors[key] for key in (*keys[:5], *keys[15:])}, MARGIN) == {}


def test_the_work_grows_with_the_faces_not_with_their_square() -> None:
    found, decisions, vectors, known = group(500)
    looked, Counted.compared = Looked(vectors), 0
    following(found, known, decisions, looked, MARGIN)
    faces = len(vectors)
    assert looked.count <= 5 * faces and Counted.compared <= 20 * faces
