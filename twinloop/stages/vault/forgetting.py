"""The promise to forget somebody, and keeping it: one whose process was killed is kept when the vault is next opened."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.names import folded
from twinloop.domain.vault import Decision, FaceKey, Person
from twinloop.stages.vault.duplicates import read_duplicates, without_faces
from twinloop.stages.vault.folder_owner import folders_of, owner_of
from twinloop.stages.vault.key_index import KeyIndex
from twinloop.stages.vault.membership import faces_of, ids_merged_into
from twinloop.stages.vault.people import Found, people_of, read_found, write_people
from twinloop.store.atomic import fsync_folder, storage_errors, write_json
from twinloop.store.decisions import DecisionLog
from twinloop.store.vault import Vault
from twinloop.store.vault_catalog import VaultCatalog
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


@dataclass(frozen=True)
class Promise:
    """Whom to forget.

    Attributes:
        person: the id. ids: that and those merged into it. name: as the person was called when this was promised.
    """

    person: str
    name: str | None
    faces: tuple[FaceKey, ...]
    ids: frozenset[str]

    @classmethod
    def about(cls, person: Person, decisions: DecisionLog) -> Promise:
        ids = ids_merged_into(decisions.active("merge"), person.id)
        return cls(person.id, person.name, person.faces, ids)

    @classmethod
    def of(cls, made: Decision, decisions: DecisionLog) -> Promise:
        """The promise that a decision is; one of an earlier version has no name."""
        person = Person(made.data["person"], made.data.get("name"), tuple(faces_of(made.data)))
        return cls.about(person, decisions)

    @property
    def who(self) -> str:
        return f"{self.person} ({self.name})" if self.name else self.person

    def means(self, text: str) -> bool:
        """Whether it is about who has this id or name."""
        wanted = folded(text)
        return wanted in self.ids or (self.name is not None and wanted == folded(self.name))

    def to_json(self) -> dict[str, Any]:
        """As the decision holds it until it is kept."""
        return {**self.kept_json(), "name": self.name, "kept": False}

    def kept_json(self) -> dict[str, Any]:
        """As it stays on record: by the places of the faces no later scan brings the person back."""
        return {"person": self.person, "faces": [key.to_json() for key in self.faces], "kept": True}


def plan(vault: Vault, decisions: DecisionLog, promise: Promise) -> Forgotten:
    """What keeping the promise removes."""
    personal = len(_personal(decisions, promise))
    return Forgotten(promise.who, len(promise.faces), personal, _paths(vault, promise), done=False)


def keep(vault: Vault, catalog: VaultCatalog, decisions: DecisionLog, made: Decision) -> Forgotten:
    """Remove what a promise is about. Killed at any point and called again, it removes the rest.

    Raises:
        StorageError: something may not be removed; the promise stands.
    """
    promise = Promise.of(made, decisions)
    found = plan(vault, decisions, promise)
    remove(found.paths)
    forget_faces(catalog, promise.faces)
    if vault.duplicates.exists():
        left = without_faces(read_duplicates(vault), {key.sha256 for key in promise.faces})
        write_json(vault.duplicates, left.to_json(), private=True)
    people = read_found(vault)
    if people is not None:
        write_people(vault, people_of(_without(people, promise.faces), decisions.active()))
    # the name goes last, and with it the mark that something is left to do: until then the person can be told by it
    decisions.redact(_personal(decisions, promise), {made.number: promise.kept_json()})
    return dataclasses.replace(found, done=True)


def keep_promises(vault: Vault, catalog: VaultCatalog, decisions: DecisionLog) -> tuple[tuple[Promise, Forgotten], ...]:
    """Keep the standing promises that are not kept yet: their process was killed. Costs a look through the decisions where there is none."""
    unkept = [made for made in decisions.active("forget") if not made.data.get("kept")]
    return tuple((Promise.of(made, decisions), keep(vault, catalog, decisions, made)) for made in unkept)


def with_journals(database: Path) -> list[Path]:
    """A SQLite file and what SQLite keeps beside it."""
    return [database, *(database.with_name(database.name + end) for end in ("-wal", "-shm"))]


def remove(paths: Iterable[Path]) -> None:
    """Delete files, links and whole folders, durably."""
    for path in paths:
        with storage_errors(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        fsync_folder(path.parent)


def _personal(decisions: DecisionLog, promise: Promise) -> list[int]:
    return [made.number for made in decisions.all() if made.kind in _PERSONAL and made.data["person"] in promise.ids]


def _paths(vault: Vault, promise: Promise) -> tuple[Path, ...]:
    """Files and folders that hold something of the person and are there."""
    usual = vault.person(promise.name or promise.person)
    owner = owner_of(usual)  # a folder follows a name with the next `prep` only: this one may still be somebody else's
    found = [
        *([usual] if owner is None or owner in promise.ids else []),
        *folders_of(vault, promise.ids),
        *(path for name in sorted(promise.ids) for path in (vault.captions(name), vault.gaps(name))),
        *(path for cache in (vault.crops, vault.likeness) for path in with_journals(cache)),
    ]
    return tuple(dict.fromkeys(path for path in found if path.exists()))


def _without(found: Found, faces: Iterable[FaceKey]) -> Found:
    gone = KeyIndex(faces)
    groups: Mapping[str, tuple[FaceKey, ...]] = {
        name: kept for name, keys in found.groups.items() if (kept := tuple(key for key in keys if not gone.find(key)))
    }
    return dataclasses.replace(
        found,
        groups=groups,
        strangers=tuple(key for key in found.strangers if not gone.find(key)),
        moved={key: to for key, to in found.moved.items() if not gone.find(key)},
    )
