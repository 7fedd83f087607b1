"""What became of photos that nobody has: those on which no face was found, and those of others."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.vault import Person
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.record import People
from twinloop.store.vault.faces import face_entries

STRANGERS = "strangers"


def without_face(opened: OpenVault, people: People | None) -> dict[str, str]:
    """sha256 -> path of every photo on which no face was found, by path; not those that are somebody's as a whole, and
    not those on which somebody was forgotten.
    """
    persons = () if people is None else people.persons
    known = {key.sha256 for person in persons for key in person.faces if key.is_whole}
    known |= forgotten_photos(opened)
    found = opened.catalog.files.without_face(opened.fingerprint)
    return {sha256: str(path) for path, sha256 in found if sha256 not in known}


def forgotten_photos(opened: OpenVault) -> frozenset[str]:
    """sha256 of the photos that show somebody who was forgotten."""
    return opened.decisions.forgotten_photos()


def beside(opened: OpenVault, people: People | None, paths: Sequence[str]) -> tuple[str, ...]:
    """Paths of the photos without a face in the same folders as these photos."""
    folders = {Path(path).parent for path in paths}
    return tuple(path for path in without_face(opened, people).values() if Path(path).parent in folders)


@dataclass(frozen=True)
class Account:
    """What became of the photos of some folders.

    Attributes:
        photos: how many there are. used, left_out: of the person. without_face: on which none was found.
        elsewhere: id, or ``strangers`` -> photos that show only faces of theirs, or are theirs as whole pictures; each
            photo is counted with one.
        forgotten: photos of somebody who was forgotten, and of nobody else.
    """

    photos: int
    used: int
    left_out: int
    without_face: int
    elsewhere: Mapping[str, int]
    forgotten: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def account(opened: OpenVault, people: People, person: Person, used: Set[str], folders: Sequence[Path]) -> Account:
    """Where each photo of these folders (none named: of the vault) went.

    Args:
        used: sha256 of those in the person's training set.
    """
    roots = [Path(os.path.abspath(folder)) for folder in folders or opened.record.folders]
    below = opened.catalog.files.contents_below(roots)
    mine = {key.sha256 for key in person.faces} & below
    bare = (without_face(opened, people).keys() & below) - mine
    owner = {key: other.id for other in people.persons for key in other.faces}
    shown: dict[str, list[str]] = {}
    left = below - mine
    for entry in face_entries(opened.catalog, opened.fingerprint):
        if entry.key.sha256 in left:
            shown.setdefault(entry.key.sha256, []).append(owner.get(entry.key, STRANGERS))
    for key, who in owner.items():
        if key.is_whole and key.sha256 in left:
            shown.setdefault(key.sha256, []).append(who)
    forgotten = (forgotten_photos(opened) & left) - shown.keys()
    counted = Counter(next((who for who in theirs if who != STRANGERS), STRANGERS) for theirs in shown.values())
    elsewhere = dict(sorted(counted.items()))
    return Account(len(below), len(used & mine), len(mine - used), len(bare), elsewhere, len(forgotten))
