"""Whom a training set is for, when the user names a person that the vault may not know by that name yet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twinloop.domain.names import folded
from twinloop.domain.vault import Person
from twinloop.domain.wording import plural, some
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.vault.dataset.label import label_of
from twinloop.stages.vault.dataset.looked_at import LookedAt
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.cluster import no_face_needed
from twinloop.stages.vault.people.membership import looks_like_id
from twinloop.stages.vault.people.record import People, otherwise_called, several_called
from twinloop.stages.vault.second_names import file_called
from twinloop.store.vault.faces import face_entries
from twinloop.system import shell

SHOWN = 5
CLEARLY_AHEAD = 1.5
"""How many times as many photos as the next person's show whoever is taken without a word from the user. A folder of
one person's photos has few of anybody else; where two are on about as many, either may be meant."""


@dataclass(frozen=True)
class Meant:
    """The person, why it is this one, and how many other people it could have been, had nobody said anything
    (``guessed``).
    """

    person: Person
    why: str
    guessed: int = 0


def person_meant(
    opened: OpenVault, people: People, name: str, reference: Path | None, folders: Sequence[Path] = ()
) -> Meant:
    """The person who has the name or id; else the one on the reference photo; else the one whom photo programs call
    so; else the one who has no name yet, in photo programs neither, and is clearly on most photos.

    Args:
        folders: only people on photos at or below these can be meant; () = on any photo of the vault.

    Raises:
        InputError: an id that nobody has; the reference is no photo of the vault, shows nobody who is known, or
            somebody else; several are called so in photo programs, or one whom the user named otherwise; nothing says
            who is meant, and nobody is clearly on most photos, or only one who has another name in photo programs.
        NothingToDo: nobody on the photos of the folders can be meant.
    """
    here = LookedAt.of(opened, folders)
    wanted = folded(name)
    shown = None if reference is None else _on_photo(opened, people, reference)
    for person in people.persons:
        if wanted in (person.id, folded(person.name or "")):
            if shown is not None and shown.id != person.id:
                raise InputError(_another(opened, shown, person, name, reference))
            return Meant(_there(opened, here, person), "has this name")
    if looks_like_id(wanted):
        raise InputError(
            f"Nobody has the id '{name}'. Known:"
            f" {', '.join(person.id for person in people.persons[:SHOWN]) or 'nobody'}"
            f" ({opened.vault.command('clusters')})."
        )
    if shown is not None:
        if shown.name is not None:
            rename = opened.vault.command(f"name {shown.id} {shell.quote(name)}")
            raise InputError(
                f"--reference {reference} shows {shown.id}, who is called {shown.name}, not {name}. To rename: {rename}"
            )
        return Meant(_there(opened, here, shown), f"is on {reference}")
    called = people.called_in_photos(name)
    among = [person for person in called if here.photos(person)] or called
    if len(among) == 1:
        return Meant(_there(opened, here, among[0]), f"is {people.in_photos(among[0]).text}")
    if among:
        raise InputError(several_called(people, among, name))
    if others := people.called_otherwise(name):
        raise InputError(_otherwise(opened, people, others, name))
    return _guessed(opened, people, here, name)


def _guessed(opened: OpenVault, people: People, here: LookedAt, name: str) -> Meant:
    """Who is clearly on most photos of the folders, of those without a name; nobody where the one on most photos has
    another name in photo programs.
    """
    counted = [(here.photos(person), person) for person in people.persons if person.name is None and not person.hidden]
    there = sorted((item for item in counted if item[0]), key=lambda item: (-item[0], item[1].id))
    if not there:
        raise NothingToDo(_nobody(opened, people, here))
    if people.in_photos(there[0][1]).name is not None:
        raise InputError(_another_in_photos(opened, people, there[0][1], name))
    free = [item for item in there if people.in_photos(item[1]).name is None]
    (count, most), *others = free
    if not others:
        return Meant(most, f"is the only one without a name ({plural(count, 'photo')})")
    if count < CLEARLY_AHEAD * others[0][0]:
        raise InputError(_undecided(opened, free, name))
    named = any(here.photos(person) > count for person in people.persons if person.name is not None)
    among = " of those without a name" if named else ""
    return Meant(most, f"is on most photos{among} ({count}); others: {_counts(others)}", len(others))


def _otherwise(opened: OpenVault, people: People, others: Sequence[Person], name: str) -> str:
    """The user called the person something else than photo programs do, or hid it."""
    first = others[0]
    if first.hidden:
        take = opened.vault.command(f"show {first.id}")
    else:
        take = f"--person {shell.quote(first.name or first.id)}"
    rename = opened.vault.command(f"name {first.id} {shell.quote(name)}")
    return (
        f"{otherwise_called(people, others, name)} If this is whom you mean: {take}. To rename: {rename}. If somebody"
        f" else is meant: --reference PHOTO, a photo that shows {name} alone."
    )


def _another_in_photos(opened: OpenVault, people: People, most: Person, name: str) -> str:
    said = people.in_photos(most)
    call = opened.vault.command(f"name {most.id} {shell.quote(name)}")
    return (
        f"Nothing says who {name} is. {most.id}, who is on most photos of those without a name, is {said.text}. Should"
        f" this be {name}: {call}, and run this again. To take the name of your photos: --person"
        f" {shell.quote(said.name or most.id)}. If somebody else is meant: --reference PHOTO, a photo that shows"
        f" {name} alone."
    )


def _there(opened: OpenVault, here: LookedAt, person: Person) -> Person:
    """The person, once it is known that some photo of the folders shows this one."""
    if here.photos(person):
        return person
    known = f"{plural(len(person.faces), 'face is', 'faces are')} known from earlier photos"
    raise NothingToDo(
        f"{person.called} is on no photo of {here.named}; {known}. To say who is there:"
        f" {opened.vault.command('clusters')}, then {opened.vault.command(f'assign {person.id} FILE')}. For the earlier"
        f" photos alone: {opened.vault.command(f'prep {person.id}')}"
    )


def named_last(opened: OpenVault, person: Person) -> int:
    """How many of the last decisions gave this person name and label, so that undo takes these back; 0 where something
    else was decided since.
    """
    found = 0
    for count, made in enumerate(reversed(opened.decisions.active()), 1):
        if made.kind not in ("name", "label") or made.data["person"] != person.id:
            break
        found = count if made.kind == "name" else found
    return found


def _another(opened: OpenVault, shown: Person, named: Person, name: str, reference: Path | None) -> str:
    """The name belongs to somebody else than the photo shows: most likely it was guessed in an earlier run."""
    said = label_of(opened.decisions, named.id)
    word = shell.quote(said.class_word) if said is not None else "person"
    count = named_last(opened, named)
    undo = f"take that back ({plural(count, 'time')}: {opened.vault.command('undo')}) and run this again. Or"
    back = f"{undo} " if count else ""
    steps = (
        f"name {named.id} OTHER-NAME",
        f"label {named.id} --trigger 'ohwx OTHER-NAME' --class {word} --consent none",
        f"prep {named.id}",
    )
    return (
        f"--reference {reference} shows {shown.called}, but {name} is {named.id}. If {named.id} was taken for {name} by"
        f" mistake, {back}call {named.id} something else, with a trigger and a consent of its own, and run this"
        " again:\n" + "\n".join(f"  {opened.vault.command(step)}" for step in steps)
    )


def _on_photo(opened: OpenVault, people: People, reference: Path) -> Person:
    known = file_called(opened, reference)
    if known is None or known.sha256 is None:
        raise InputError(
            f"--reference {reference}: not a photo of this vault. Name one of the scanned photos that shows the person"
            " alone."
        )
    faces = [entry for entry in face_entries(opened.catalog, opened.fingerprint) if entry.key.sha256 == known.sha256]
    owners = {owner.id: owner for face in faces if (owner := people.person_of(face.key)) is not None}
    if len(owners) != 1:
        found = "nobody who is known" if not owners else f"{len(owners)} people ({', '.join(owners)})"
        raise InputError(
            f"--reference {reference} shows {found}. Name a photo that shows the person alone, or see:"
            f" {opened.vault.command('clusters')}"
        )
    (owner,) = owners.values()
    if people.person_of(max(faces, key=lambda face: face.box.area).key) is None:
        raise InputError(
            f"--reference {reference}: the largest face on it is of somebody who is not known, and {owner.called} is"
            f" only in the background. Name a photo that shows the person alone, or see:"
            f" {opened.vault.command('clusters')}"
        )
    return owner


def _undecided(opened: OpenVault, free: Sequence[tuple[int, Person]], name: str) -> str:
    """Several people are on about as many photos, and nothing says which of them is meant."""
    say = opened.vault.command(f"name {free[0][1].id} {shell.quote(name)}")
    return (
        f"Which of these people is {name}? Photos of each: {_counts(free)}. Nobody is on {CLEARLY_AHEAD:g} times as"
        " many as the next, so none is taken for granted. Run this again with --reference PHOTO, a photo that shows"
        f" {name} alone; or look at them ({opened.vault.command('clusters')}) and name one: {say}"
    )


def _counts(counted: Sequence[tuple[int, Person]]) -> str:
    shown = ", ".join(f"{person.id} ({count})" for count, person in counted[:SHOWN])
    return f"{shown}{f' and {len(counted) - SHOWN} more' if len(counted) > SHOWN else ''}"


def _nobody(opened: OpenVault, people: People, here: LookedAt) -> str:
    known = [person for person in people.persons if here.photos(person)]
    if known:
        called = ", ".join(f"{person.id} ({person.name or 'hidden'})" for person in known[:SHOWN])
        return (
            f"Everybody on the photos of {here.named} has a name already, or is hidden: {called}. "
            "Name one of them, or show who is meant with --reference PHOTO."
        )
    few = len(here.contents)
    if few < 2:
        return (
            f"No person was found: {plural(few, 'photo')} of {here.named} with a face. "
            "A person is told from strangers by several photos, and a training set takes 10 and more: add photos.\n"
            f"{no_face_needed(opened.vault)}"
        )
    return (
        f"No person was found on the photos of {here.named}: nobody is on {people.found.min_faces} photos. "
        f"Add photos, or ask for fewer: --min-faces 2\n{no_face_needed(opened.vault)}"
    )


def earlier_photos(opened: OpenVault, person: Person, folders: Sequence[Path]) -> str:
    """``with the 19 photos scanned earlier from /a, /b``: what other folders than these bring
    in; "" where none does.
    """
    if not folders:
        return ""
    files = opened.catalog.files
    given = frozenset(Path(os.path.abspath(folder)) for folder in folders)
    mine = {key.sha256 for key in person.faces} - files.contents_below(given)
    others = [folder for folder in opened.record.folders if Path(folder) not in given]
    brought = {folder: photos for folder in others if (photos := mine & files.contents_below([Path(folder)]))}
    count = len(set().union(*brought.values()))
    return f"with the {plural(count, 'photo')} scanned earlier from {some(list(brought))}" if brought else ""
