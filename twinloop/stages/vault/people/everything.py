"""Everything in a folder is of one character: nobody is told apart, and pictures without a face belong, too."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twinloop.domain.names import folded
from twinloop.domain.vault import FaceKey, Person
from twinloop.domain.wording import plural, some
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.cluster import MIN_FACES
from twinloop.stages.vault.people.edits import Edited, decided
from twinloop.stages.vault.people.key_index import KeyIndex
from twinloop.stages.vault.people.membership import APPLIED, faces_of, looks_like_id
from twinloop.stages.vault.people.record import (
    Found,
    People,
    find_person,
    next_id,
    people_of,
    read_found,
    read_people,
    used_numbers,
    write_people,
)
from twinloop.stages.vault.people.without_face import forgotten_photos
from twinloop.store.vault.faces import face_entries
from twinloop.store.vault.same_shot import SameShot


@dataclass(frozen=True)
class Everything:
    """The outcome.

    Attributes:
        photos: of the folders. added: those that were not the character's before. without_face: the character's, of
            these photos, as whole pictures, because no face was found.
        forgotten: photos of somebody who was forgotten, which are left out. others: photos that stay somebody
            else's: all faces on them have another name, are hidden, or were said not to be of this one.
    """

    person: Person
    photos: int
    added: int
    without_face: int
    others: int
    forgotten: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "everything": True,
            "photos": self.photos,
            "added": self.added,
            "without_face": self.without_face,
            "others": self.others,
            "forgotten": self.forgotten,
        }


def take_everything(
    opened: OpenVault, name: str, folders: Sequence[Path], check: Callable[[Person], None] = lambda person: None
) -> Everything:
    """Make all photos of these folders the character's who has this name or id, or who is new with it: the largest face
    of each that is nobody else's, and the whole picture where none was found and nobody was forgotten.

    Args:
        check: raises an error where this person cannot be prepared; called before anything is decided.

    Raises:
        InputError: an id that nobody has. NothingToDo: the folders hold no photo, or only such of others.
    """
    note_faces(opened)
    people = read_people(opened.vault)
    person = _known(opened, people, name)
    below = sorted(opened.catalog.files.contents_below(Path(os.path.abspath(folder)) for folder in folders))
    mine = set() if person is None else {key.sha256 for key in person.faces}
    faces = _faces(opened)
    of_forgotten = forgotten_photos(opened) - faces.keys()
    left_out = of_forgotten.intersection(below) - mine
    keys = _keys(opened, people, person, faces, [sha256 for sha256 in below if sha256 not in mine | left_out])
    if not keys and person is None:
        raise NothingToDo(
            f"No photo of {some([str(folder) for folder in folders])} can be taken for {name}."
            + (f" {forgotten_line(len(left_out))}." if left_out else "")
        )
    check(person or Person(next_id(people.found, opened.decisions.all()), None, tuple(keys)))
    if keys:
        person = _taken(opened, people, person, keys)
    assert person is not None
    own = {key.sha256: key for key in person.faces}
    here = [own[sha256] for sha256 in below if sha256 in own]
    bare = sum(key.is_whole and key.sha256 not in faces and key.sha256 not in of_forgotten for key in here)
    others = len(below) - len(here) - len(left_out)
    return Everything(person, len(below), len(keys), bare, others, len(left_out))


def forgotten_line(count: int) -> str:
    return f"{plural(count, 'photo')} of somebody who was forgotten {'is' if count == 1 else 'are'} left out"


def note_faces(opened: OpenVault) -> None:
    """Bring people.json up to date with the faces that are there, without telling anybody apart: known ones stay with
    whom they were, new ones are strangers until the next `cluster`.
    """
    before, shots = read_found(opened.vault), opened.decisions.same_shot
    entries = [entry.key for entry in face_entries(opened.catalog, opened.fingerprint)]
    groups = {} if before is None else _still_there(before, entries, shots)
    known = {key for keys in groups.values() for key in keys}
    strangers = tuple(key for key in entries if key not in known)
    if before is None:
        last = max(used_numbers(opened.decisions.all()), default=0)
        found = Found(
            groups={}, strangers=strangers, last=last, fingerprint=opened.fingerprint,
            limit=opened.record.same_person, chosen=None, min_faces=MIN_FACES, inputs="",
        )  # fmt: skip
    else:
        index = KeyIndex(entries)
        moved = {now: to for key, to in before.moved.items() for now in index.find_all(shots.faces_of([key]))}
        same = before.fingerprint == opened.fingerprint and set(before.strangers) == set(strangers)
        if same and groups == before.groups:
            return
        found = replace(
            before, groups=groups, strangers=strangers, fingerprint=opened.fingerprint, inputs="", moved=moved
        )
    write_people(opened.vault, people_of(found, opened.decisions.active(*APPLIED)))


def _still_there(before: Found, entries: Sequence[FaceKey], shots: SameShot) -> Mapping[str, tuple[FaceKey, ...]]:
    """The groups as they were, with the faces as they are measured now."""
    index, taken = KeyIndex(entries), set[FaceKey]()
    groups = {}
    for name, keys in before.groups.items():
        found = tuple(key for key in index.find_all(shots.faces_of(keys)) if key not in taken)
        taken.update(found)
        if found:
            groups[name] = found
    return groups


def _known(opened: OpenVault, people: People, name: str) -> Person | None:
    wanted = folded(name)
    person = next((one for one in people.persons if wanted in (one.id, folded(one.name or ""))), None)
    if person is None and looks_like_id(wanted):
        raise InputError(f"Nobody has the id '{name}' ({opened.vault.command('clusters')}).")
    return person


def _faces(opened: OpenVault) -> dict[str, list[FaceKey]]:
    """By photo, the largest first."""
    faces: dict[str, list[FaceKey]] = {}
    for entry in face_entries(opened.catalog, opened.fingerprint):
        faces.setdefault(entry.key.sha256, []).append(entry.key)
    return faces


def _keys(
    opened: OpenVault,
    people: People,
    person: Person | None,
    faces: Mapping[str, Sequence[FaceKey]],
    photos: Sequence[str],
) -> list[FaceKey]:
    """What is taken of each of these photos; nothing of those whose faces are all somebody else's."""
    taken = [*_rejected(opened, person), *(key for other in people.persons if _is_said(other) for key in other.faces)]
    others = KeyIndex(dict.fromkeys(taken))
    found = []
    for sha256 in photos:
        candidates = faces.get(sha256) or [FaceKey.of_whole(sha256)]
        free = [key for key in candidates if others.find(key) is None]
        found += free[:1]
    return found


def _is_said(person: Person) -> bool:
    """Whether the user said something of this person: nobody else's faces are taken away."""
    return person.name is not None or person.hidden


def _rejected(opened: OpenVault, person: Person | None) -> list[FaceKey]:
    if person is None:
        return []
    return [
        key
        for made in opened.decisions.active("reject")
        if made.data["person"] == person.id
        for key in faces_of(made.data)
    ]


def _taken(opened: OpenVault, people: People, person: Person | None, keys: Sequence[FaceKey]) -> Person:
    faces = [key.to_json() for key in keys]
    if person is None:
        new = next_id(people.found, opened.decisions.all())
        text = f"{plural(len(keys), 'picture')} of one character: {new}."
        made: Edited = decided(opened, text, "split", {"person": None, "faces": faces, "new": new})
        return find_person(made.people, new)
    text = f"{plural(len(keys), 'picture')} more of {person.called}."
    made = decided(opened, text, "assign", {"person": person.id, "faces": faces}, person)
    return find_person(made.people, person.id)
