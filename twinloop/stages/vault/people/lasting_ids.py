"""Ids that last: whoever was p003 stays p003 when photos come and go, and no id is ever given to someone else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from twinloop.domain.vault import Decision, FaceKey
from twinloop.stages.vault.people.key_index import KeyIndex
from twinloop.stages.vault.people.membership import faces_of, id_of, number_of

ANCHORS = 8
"""Faces that a decision notes of each person it names: by them the person is found again should people.json be lost."""


def lasting_ids(
    groups: Sequence[Sequence[FaceKey]], before: Mapping[str, Sequence[FaceKey]], last: int
) -> tuple[list[str], int]:
    """An id for each group, and the highest number given so far.

    A group gets the id of whom it shares most faces with, the largest share first; of two groups with the faces of one
    person the other is someone new. New ids follow the order of the groups.
    """
    index = KeyIndex(key for keys in before.values() for key in keys)
    owner = {key: person for person, keys in before.items() for key in keys}
    shared: Counter[tuple[int, str]] = Counter()
    for place, keys in enumerate(groups):
        for key in index.find_all(keys):
            shared[place, owner[key]] += 1
    ids: dict[int, str] = {}
    taken: set[str] = set()
    for (place, person), _ in sorted(shared.items(), key=lambda item: (-item[1], number_of(item[0][1]), item[0][0])):
        if place not in ids and person not in taken:
            ids[place] = person
            taken.add(person)
    for place in range(len(groups)):
        if place not in ids:
            last += 1
            ids[place] = id_of(last)
    return [ids[place] for place in range(len(groups))], last


def anchored(decisions: Iterable[Decision]) -> dict[str, list[FaceKey]]:
    """Faces by person, as decisions noted them; of a person that several name those of the first."""
    known: dict[str, list[FaceKey]] = {}
    taken: set[FaceKey] = set()
    for made in decisions:
        for person, keys in made.data["anchors"].items():
            if person not in known:
                known[person] = [key for key in faces_of({"faces": keys}) if key not in taken]
                taken.update(known[person])
    return known
