"""Whom a training set is for, when the user names a person that the vault may not know by that name yet."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twinloop.domain.names import folded
from twinloop.domain.vault import Person
from twinloop.domain.wording import plural
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.vault.membership import looks_like_id
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people import People
from twinloop.store.vault_faces import face_entries

SHOWN = 5


@dataclass(frozen=True)
class Meant:
    """The person, why it is this one, and how many other people it could have been, had nobody said anything (``guessed``)."""

    person: Person
    why: str
    guessed: int = 0


def person_meant(vault: OpenVault, people: People, name: str, reference: Path | None) -> Meant:
    """The person who has the name or id; else the one on the reference photo; else the one with most faces who has no name yet.

    Raises:
        InputError: an id that nobody has; the reference is no photo of the vault, shows nobody who is known, or somebody else. NothingToDo: there is nobody to choose from.
    """
    wanted = folded(name)
    shown = None if reference is None else _on_photo(vault, people, reference)
    for person in people.persons:
        if wanted in (person.id, folded(person.name or "")):
            if shown is not None and shown.id != person.id:
                raise InputError(_another(vault, shown, person, name, reference))
            return Meant(person, "has this name")
    if looks_like_id(wanted):
        raise InputError(
            f"Nobody has the id '{name}'. Known: {', '.join(person.id for person in people.persons[:SHOWN]) or 'nobody'} ({vault.vault.command('clusters')})."
        )
    if shown is not None:
        if shown.name is not None:
            rename = vault.vault.command(f"name {shown.id} {shlex.quote(name)}")
            raise InputError(
                f"--reference {reference} shows {shown.id}, who is called {shown.name}, not {name}. To rename: {rename}"
            )
        return Meant(shown, f"is on {reference}")
    free = [person for person in people.persons if person.name is None and not person.hidden]
    if not free:
        raise NothingToDo(_nobody(vault, people))
    most, *others = sorted(free, key=lambda person: (-len(person.faces), person.id))
    if not others:
        return Meant(most, f"is the only one without a name ({plural(len(most.faces), 'face')})")
    return Meant(most, f"has most faces ({len(most.faces)}){_others(others)}", len(others))


def _another(vault: OpenVault, shown: Person, named: Person, name: str, reference: Path | None) -> str:
    """The name belongs to somebody else than the photo shows: most likely it was guessed in an earlier run."""
    return (
        f"--reference {reference} shows {shown.id}{f' ({shown.name})' if shown.name else ''}, but {name} is {named.id}. "
        f"If {named.id} was taken for {name} by mistake, call {named.id} something else, move its training set, and run this again:\n"
        f"  {vault.vault.command(f'name {named.id} OTHER-NAME')}\n  {vault.vault.command(f'prep {named.id}')}"
    )


def _on_photo(vault: OpenVault, people: People, reference: Path) -> Person:
    known = vault.catalog.file(reference)
    if known is None or known.sha256 is None:
        raise InputError(
            f"--reference {reference}: not a photo of this vault. Name one of the scanned photos that shows the person alone."
        )
    faces = [entry.key for entry in face_entries(vault.catalog, vault.fingerprint) if entry.key.sha256 == known.sha256]
    owners = {owner.id: owner for key in faces if (owner := people.person_of(key)) is not None}
    if len(owners) != 1:
        found = "nobody who is known" if not owners else f"{len(owners)} people ({', '.join(owners)})"
        raise InputError(
            f"--reference {reference} shows {found}. Name a photo that shows the person alone, or see: {vault.vault.command('clusters')}"
        )
    return next(iter(owners.values()))


def _others(others: Sequence[Person]) -> str:
    shown = ", ".join(f"{person.id} ({len(person.faces)})" for person in others[:SHOWN])
    return f"; others: {shown}{f' and {len(others) - SHOWN} more' if len(others) > SHOWN else ''}"


def _nobody(vault: OpenVault, people: People) -> str:
    if people.persons:
        return (
            "Everybody in the vault has a name already. Name one of them, or show who is meant with --reference PHOTO."
        )
    fewer = vault.vault.command("cluster --min-faces 2")
    return f"No person was found: nobody is on {people.found.min_faces} photos. Add photos, or ask for fewer: {fewer}"
