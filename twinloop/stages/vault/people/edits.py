"""What the user says of people: each a decision that holds through later scans and clusterings, and can be undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twinloop.domain.names import as_folder, folded, normal, share_folder
from twinloop.domain.vault import Decision, FaceKey, Person
from twinloop.domain.wording import plural
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.faces_meant import FacesMeant
from twinloop.stages.vault.people.lasting_ids import ANCHORS
from twinloop.stages.vault.people.membership import KINDS, looks_like_id
from twinloop.stages.vault.people.record import People, find_person, next_id, read_found, read_people, write_people
from twinloop.stages.vault.photo_named import photo_named


@dataclass(frozen=True)
class Edited:
    """One thing said. ``text``: what changed, for people. ``decision``: what was written down."""

    text: str
    decision: Decision
    people: People

    def to_json(self) -> dict[str, Any]:
        made = self.decision
        return {"changed": self.text, "decision": {"number": made.number, "kind": made.kind, "data": dict(made.data)}}


def name(opened: OpenVault, text: str, called: str) -> Edited:
    """Call a person something.

    Raises:
        InputError: nobody is meant, or the name cannot be one. NothingToDo: the person is called that already.
    """
    people = read_people(opened.vault)
    person, wanted = find_person(people, text), normal(called)
    opened.vault.person(wanted)  # refuses what cannot be the name of a folder
    if person.name == wanted:
        raise NothingToDo(f"{person.id} is called {wanted} already.")
    for other in people.persons:
        if other.id != person.id and folded(wanted) in (other.id, folded(other.name or "")):
            raise InputError(
                f"{other.id} is called {wanted} already. If they are one person:"
                f" {opened.vault.command(f'merge {other.id} {person.id}')}"
            )
        if other.id != person.id and share_folder(wanted, other.folder_name):
            raise InputError(
                f"The training sets of {wanted} and of {other.called} would lie in one folder: a dot at the end of a"
                " name does not tell folders apart. Choose another name."
            )
    if looks_like_id(as_folder(wanted)):
        raise InputError(f"'{wanted}' looks like the id of a person. Choose another name.")
    before = f" (was {person.name})" if person.name else ""
    return decided(
        opened, f"{person.id} is called {wanted}{before}.", "name", {"person": person.id, "name": wanted}, person
    )


def hide(opened: OpenVault, text: str, hidden: bool = True) -> Edited:
    """Leave a person out of what is shown and prepared; or no longer.

    Raises:
        NothingToDo: it is so already.
    """
    person = find_person(read_people(opened.vault), text)
    if person.hidden == hidden:
        raise NothingToDo(f"{person.called} is {'hidden' if hidden else 'shown'} already.")
    kind = "hide" if hidden else "show"
    return decided(
        opened, f"{person.called} is {'hidden' if hidden else 'shown'}.", kind, {"person": person.id}, person
    )


def merge(opened: OpenVault, texts: Sequence[str]) -> Edited:
    """Make several people one: the first.

    Raises:
        InputError: fewer than two different ones.
    """
    people = read_people(opened.vault)
    into, *others = dict.fromkeys(find_person(people, text) for text in texts)
    if not others:
        raise InputError(
            f"Merge whom into {into.called}? Name at least two people: {opened.vault.command(f'merge {into.id} p002')}"
        )
    said = (
        f"{', '.join(person.called for person in others)} now {'belongs' if len(others) == 1 else 'belong'} to"
        f" {into.called}"
    )
    data = {"into": into.id, "people": [other.id for other in others]}
    done = decided(opened, said, "merge", data, into, *others)
    return replace(done, text=f"{said}: {_merged(done.people, into, others)}.")


def split(opened: OpenVault, text: str, files: Sequence[Path], face: int | None = None) -> Edited:
    """Make the faces of a person in these files a new person.

    Raises:
        InputError: a file without a face of the person, or all faces of the person.
    """
    people = read_people(opened.vault)
    person = find_person(people, text)
    return _split(opened, people, person, FacesMeant(opened, people, face).of_person(person, files))


def split_faces(opened: OpenVault, text: str | None, keys: Sequence[FaceKey]) -> Edited:
    """Make these faces of a person a new person. ``text``: None = they are strangers'.

    Raises:
        InputError: faces that are not the person's, or all faces of the person.
    """
    people = read_people(opened.vault)
    if text is None:
        _check(keys, people.strangers, "strangers")
        data = {"person": None, "faces": _json(keys), "new": next_id(people.found, opened.decisions.all())}
        return decided(
            opened,
            f"{plural(len(keys), 'face')} of strangers {'is' if len(keys) == 1 else 'are'} now {data['new']}.",
            "split",
            data,
        )
    return _split(opened, people, find_person(people, text), keys)


def _split(opened: OpenVault, people: People, person: Person, keys: Sequence[FaceKey]) -> Edited:
    _check(keys, person.faces, person.called)
    if len(keys) == len(person.faces):
        raise InputError(f"These are all faces of {person.called}: nobody would be left.")
    new = next_id(people.found, opened.decisions.all())
    data = {"person": person.id, "faces": _json(keys), "new": new}
    return decided(
        opened,
        f"{plural(len(keys), 'face')} of {person.called} {'is' if len(keys) == 1 else 'are'} now {new}.",
        "split",
        data,
        person,
    )


def reject(opened: OpenVault, text: str, files: Sequence[Path], face: int | None = None) -> Edited:
    """Say that the faces in these files are not this person; they never come back to it.

    Raises:
        InputError: a file without a face of the person.
    """
    people = read_people(opened.vault)
    person = find_person(people, text)
    return _reject(opened, person, FacesMeant(opened, people, face).of_person(person, files))


def reject_faces(opened: OpenVault, text: str, keys: Sequence[FaceKey]) -> Edited:
    """Say that these faces are not this person; they never come back to it.

    Raises:
        InputError: faces that are not the person's.
    """
    return _reject(opened, find_person(read_people(opened.vault), text), keys)


def _reject(opened: OpenVault, person: Person, keys: Sequence[FaceKey]) -> Edited:
    _check(keys, person.faces, person.called)
    data = {"person": person.id, "faces": _json(keys)}
    return decided(
        opened,
        f"{plural(len(keys), 'face')} {'is' if len(keys) == 1 else 'are'} not {person.called}.",
        "reject",
        data,
        person,
    )


def assign(opened: OpenVault, text: str, files: Sequence[Path], face: int | None = None) -> Edited:
    """Say that the faces in these files are this person.

    Raises:
        InputError: a file in which several faces could be meant. NothingToDo: all of them belong to the person already.
    """
    people = read_people(opened.vault)
    person = find_person(people, text)
    return _assign(opened, people, person, FacesMeant(opened, people, face).for_person(person, files))


def assign_pictures(opened: OpenVault, text: str, files: Sequence[Path]) -> Edited:
    """Say that these pictures are this person's as a whole, whatever faces were found in them.

    Raises:
        InputError: an unknown file. NothingToDo: all of them are the person's already.
    """
    person = find_person(read_people(opened.vault), text)
    known = {key.sha256: key for key in person.faces}
    photos = dict.fromkeys(photo_named(opened, file, known).sha256 for file in files)
    keys = [FaceKey.of_whole(sha256) for sha256 in photos if sha256 not in known]
    if not keys:
        raise NothingToDo(
            f"{'This picture is' if len(photos) == 1 else 'These pictures are'} of {person.called} already."
        )
    which = plural(len(keys), "whole picture belongs", "whole pictures belong")
    data = {"person": person.id, "faces": _json(keys)}
    return decided(opened, f"{which} to {person.called}.", "assign", data, person)


def assign_faces(opened: OpenVault, text: str, keys: Sequence[FaceKey]) -> Edited:
    """Say that these faces are this person.

    Raises:
        InputError: faces that are not in the vault. NothingToDo: all of them belong to the person already.
    """
    people = read_people(opened.vault)
    return _assign(opened, people, find_person(people, text), keys)


def _assign(opened: OpenVault, people: People, person: Person, keys: Sequence[FaceKey]) -> Edited:
    _check(keys, [*people.strangers, *(key for other in people.persons for key in other.faces)], "this vault")
    if set(person.faces).issuperset(keys):
        raise NothingToDo(
            f"{'This face belongs' if len(keys) == 1 else 'These faces belong'} to {person.called} already."
        )
    data = {"person": person.id, "faces": _json(keys)}
    return decided(
        opened,
        f"{plural(len(keys), 'face')} {'belongs' if len(keys) == 1 else 'belong'} to {person.called}.",
        "assign",
        data,
        person,
    )


def undo(opened: OpenVault) -> Decision:
    """Take the last standing decision back, whatever it was about.

    Raises:
        NothingToDo: there is none.
    """
    last = opened.decisions.undo()
    if last.kind in KINDS and read_found(opened.vault) is not None:
        write_people(opened.vault, read_people(opened.vault))
    return last


def decided(opened: OpenVault, text: str, kind: str, data: Mapping[str, Any], *persons: Person) -> Edited:
    """Write the decision down, with some faces of whom it speaks of, and bring people.json up to date."""
    made = opened.decisions.add(
        kind, {**data, "anchors": {person.id: _json(person.faces[:ANCHORS]) for person in persons}}
    )
    people = read_people(opened.vault)
    write_people(opened.vault, people)
    return Edited(text, made, people)


def _merged(people: People, into: Person, others: Sequence[Person]) -> str:
    """How many faces a person has after others were merged into it, and how many are still said not to be of it."""
    have = find_person(people, into.id).faces
    out = sum(len(person.faces) for person in (into, *others)) - len(have)
    left = f"; {out} said not to be {into.id} before {'stays' if out == 1 else 'stay'} out (assign says otherwise)"
    return plural(len(have), "face") + (left if out > 0 else "")


def _check(keys: Sequence[FaceKey], known: Sequence[FaceKey], whose: str) -> None:
    """Raises InputError: no face at all, or some that are somebody else's."""
    if not keys:
        raise InputError("Which faces? Mark them first.")
    foreign = set(keys) - set(known)
    if foreign:
        raise InputError(
            f"{plural(len(foreign), 'face')} of these {'is' if len(foreign) == 1 else 'are'} not of {whose}. Look at"
            " the faces again."
        )


def _json(keys: Sequence[FaceKey]) -> list[dict[str, Any]]:
    return [key.to_json() for key in keys]
