"""Whom a training set is for, when the user names a person that the vault may not know by that name yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twinloop.domain.vault import Person
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.vault.membership import looks_like_id
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people import People
from twinloop.store.vault_faces import face_entries

SHOWN = 5


@dataclass(frozen=True)
class Meant:
    """The person, and why it is this one."""

    person: Person
    why: str


def person_meant(vault: OpenVault, people: People, name: str, reference: Path | None) -> Meant:
    """The person who has the name or id; else the one on the reference photo; else the one with most faces who has no name yet.

    Raises:
        InputError: an id that nobody has, or the reference is no photo of the vault, or shows nobody who is known. NothingToDo: there is nobody to choose from.
    """
    wanted = name.strip().casefold()
    for person in people.persons:
        if wanted in (person.id, (person.name or "").casefold()):
            return Meant(person, "has this name")
    if looks_like_id(wanted):
        raise InputError(
            f"Nobody has the id '{name}'. Known: {', '.join(person.id for person in people.persons[:SHOWN]) or 'nobody'} (twinloop vault clusters)."
        )
    if reference is not None:
        person = _on_photo(vault, people, reference)
        if person.name is not None:
            raise InputError(
                f"--reference {reference} shows {person.id}, who is called {person.name}, not {name}. To rename: twinloop vault name {person.id} '{name}'"
            )
        return Meant(person, f"is on {reference}")
    free = [person for person in people.persons if person.name is None and not person.hidden]
    if not free:
        raise NothingToDo(_nobody(people))
    most, *others = sorted(free, key=lambda person: (-len(person.faces), person.id))
    return Meant(most, f"has most faces ({len(most.faces)}){_others(others)}")


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
            f"--reference {reference} shows {found}. Name a photo that shows the person alone, or see: twinloop vault clusters"
        )
    return next(iter(owners.values()))


def _others(others: Sequence[Person]) -> str:
    if not others:
        return ""
    shown = ", ".join(f"{person.id} ({len(person.faces)})" for person in others[:SHOWN])
    return f"; others: {shown}{f' and {len(others) - SHOWN} more' if len(others) > SHOWN else ''}"


def _nobody(people: People) -> str:
    if people.persons:
        return (
            "Everybody in the vault has a name already. Name one of them, or show who is meant with --reference PHOTO."
        )
    return f"No person was found: nobody is on {people.found.min_faces} photos. Add photos, or ask for fewer: twinloop vault cluster --min-faces 2"
