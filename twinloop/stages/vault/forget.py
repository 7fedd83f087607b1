"""Forget: remove what was derived of a person, or of everything. Photos themselves are never touched."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.vault import Decision, FaceKey, Person
from twinloop.stages.vault.duplicates import read_duplicates, without_faces
from twinloop.stages.vault.membership import faces_of
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people import People, people_of, read_people, write_people
from twinloop.stages.vault.person_folder import folders_of
from twinloop.store.atomic import fsync_folder, storage_errors, write_json
from twinloop.store.decisions import DecisionLog
from twinloop.store.lock import VAULT, locked
from twinloop.store.vault import Vault
from twinloop.store.vault_forget import forget_faces

_PERSONAL = ("name", "label", "caption", "captions")
"""Kinds of decisions that hold words about a person; the others hold ids and places in photos."""
_OUTSIDE = "LoRAs, exported packages and training sets outside of the vault are not known to it: delete those yourself."
_FOR_GOOD = (
    "undo does not bring measures back: the photos would have to be measured anew (delete catalog.sqlite and scan)."
)


@dataclass(frozen=True)
class Forgotten:
    """What was removed, or would be.

    Attributes:
        who: id and name, or ``everything``. faces: measured ones, with their embeddings. decisions: whose contents are taken out of the log.
        paths: files and folders. done: False = nothing was removed yet. notes: what is not covered.
    """

    who: str
    faces: int
    decisions: int
    paths: tuple[Path, ...]
    done: bool
    notes: tuple[str, ...] = (_OUTSIDE, _FOR_GOOD)

    def to_json(self) -> dict[str, Any]:
        return {
            **dataclasses.asdict(self),
            "paths": [os.fspath(path) for path in self.paths],
            "notes": list(self.notes),
        }


def forget_person(opened: OpenVault, person: Person, really: bool) -> Forgotten:
    """Remove faces, embeddings, thumbnails, names, labels, captions and the training set of one person.

    The places of the faces stay on record, so that no later scan brings the person back.
    Caches that hold something of everybody are deleted as a whole; they are made again when they are needed.

    Args:
        really: False = only say what would go.
    """
    people = read_people(opened.vault)
    ids = {person.id, *(old for old, now in people.merged.items() if now == person.id)}
    personal = [made.number for made in opened.decisions.all() if made.kind in _PERSONAL and made.data["person"] in ids]
    paths = _of_person(opened.vault, person, ids)
    who = f"{person.id} ({person.name})" if person.name else person.id
    planned = Forgotten(who, len(person.faces), len(personal), paths, done=False)
    if not really:
        return planned
    # first the promise, then the removal: killed in between, the same command removes the rest
    opened.decisions.add("forget", {"person": person.id, "faces": [key.to_json() for key in person.faces]})
    _remove(paths)
    opened.decisions.redact(personal)
    forget_faces(opened.catalog, person.faces)
    if opened.vault.duplicates.exists():
        left = without_faces(read_duplicates(opened.vault), {key.sha256 for key in person.faces})
        write_json(opened.vault.duplicates, left.to_json(), private=True)
    write_people(opened.vault, _without(people, person, opened.decisions.active()))
    return dataclasses.replace(planned, done=True)


def _of_person(vault: Vault, person: Person, ids: set[str]) -> tuple[Path, ...]:
    """Files and folders that hold something of the person and are there."""
    databases = [path for cache in (vault.crops, vault.likeness) for path in _with_journals(cache)]
    found = [
        vault.person(person.name or person.id),
        *folders_of(vault, ids),
        *(path for name in sorted(ids) for path in (vault.captions(name), vault.gaps(name))),
        *databases,
    ]
    return tuple(dict.fromkeys(path for path in found if path.exists()))


def _with_journals(database: Path) -> list[Path]:
    """A SQLite file and what SQLite keeps beside it."""
    return [database, *(database.with_name(database.name + end) for end in ("-wal", "-shm"))]


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with storage_errors(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        fsync_folder(path.parent)


def _without(people: People, person: Person, decisions: Iterable[Decision]) -> People:
    gone = set(person.faces)
    found = people.found
    groups: Mapping[str, tuple[FaceKey, ...]] = {
        name: kept for name, keys in found.groups.items() if (kept := tuple(key for key in keys if key not in gone))
    }
    moved = {key: to for key, to in found.moved.items() if key not in gone}
    left = dataclasses.replace(
        found, groups=groups, strangers=tuple(key for key in found.strangers if key not in gone), moved=moved
    )
    return people_of(left, decisions)


def forgotten_faces(decisions: DecisionLog) -> dict[str, tuple[FaceKey, ...]]:
    """By content hash: the faces that no scan may keep."""
    found: dict[str, tuple[FaceKey, ...]] = {}
    for made in decisions.active("forget"):
        for key in faces_of(made.data):
            found[key.sha256] = (*found.get(key.sha256, ()), key)
    return found


def forget_everything(vault: Vault, really: bool) -> Forgotten:
    """Remove all that the vault holds: what was measured, decided and prepared. Other files in its folder stay.

    Raises:
        Locked: another process works in it.
    """
    files = [*_with_journals(vault.catalog), *_with_journals(vault.crops), *_with_journals(vault.likeness)]
    files += [
        vault.people,
        vault.duplicates,
        vault.scan_record,
        vault.decisions,
        vault.root / "captions",
        vault.root / "gaps",
        vault.root / "organized",
    ]
    paths = tuple(path for path in files if path.exists())
    if really and paths:
        with locked(vault.root, VAULT):
            _remove(paths)
    return Forgotten("everything", 0, 0, paths, done=really)
