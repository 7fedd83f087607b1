"""The promise to forget somebody, and keeping it: one whose process was killed is kept when the
vault is next opened.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.names import folded
from twinloop.domain.vault import Decision, FaceKey, Person
from twinloop.stages.vault.copies.record import last_duplicates, without_faces
from twinloop.stages.vault.dataset import by_hand
from twinloop.stages.vault.dataset.folder.outside import folders_gone, folders_outside
from twinloop.stages.vault.dataset.folder.own_files import OwnFiles, is_prepared, mask_folders
from twinloop.stages.vault.dataset.folder.owner import folders_of, owner_of
from twinloop.stages.vault.forget.names import ForgottenNames
from twinloop.stages.vault.forget.observed import forget_observations, notes_on_runs, observations, pictures_in
from twinloop.stages.vault.forget.removing import remove, with_journals
from twinloop.stages.vault.forget.strays import Strays, strays_of
from twinloop.stages.vault.opened import ScanRecord
from twinloop.stages.vault.people.called import in_photos
from twinloop.stages.vault.people.key_index import KeyIndex
from twinloop.stages.vault.people.membership import faces_of, ids_merged_into
from twinloop.stages.vault.people.record import Found, people_of, read_found, write_people
from twinloop.store.atomic import write_json
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.decisions import DecisionLog
from twinloop.store.vault.folder import Vault
from twinloop.store.vault.forget import forget_faces, forget_unseen, unseen_faces
from twinloop.store.vault.photo_names import PhotoNames
from twinloop.store.vault.vault_id import drop_outside

_PERSONAL = ("name", "label", "caption", "captions", *by_hand.KINDS)
"""Kinds of decisions that hold words about a person, or say what the training set was made of; the others hold ids and
places in photos."""
_OUTSIDE = (
    "LoRAs, exported packages, made images and copies of training sets are not known to the vault: delete those"
    " yourself."
)
_FOR_GOOD = "undo brings nothing of this back; after it the next scan measures the photos anew."


@dataclass(frozen=True)
class Forgotten:
    """What was removed, or would be.

    Attributes:
        who: id and name, or ``everything``. faces: measured ones, with their embeddings. decisions: whose contents are
            taken out of the log.
        unseen: faces of anybody on photos that are gone, or that other models measured. observed: pictures of which
            the catalogue that other commands share knows something.
        paths: files and folders. done: False = nothing was removed yet.
        kept: what lies in folders of training sets and was not written by this program; it stays. notes: what is not
            covered.
    """

    who: str
    faces: int
    decisions: int
    paths: tuple[Path, ...]
    done: bool
    kept: tuple[Path, ...] = ()
    notes: tuple[str, ...] = (_OUTSIDE, _FOR_GOOD)
    unseen: int = 0
    observed: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            **dataclasses.asdict(self),
            "paths": [os.fspath(path) for path in self.paths],
            "kept": [os.fspath(path) for path in self.kept],
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Promise:
    """Whom to forget.

    Attributes:
        person: as it was when this was promised. ids: the person's, and those merged into it.
        pictures: sha256 of what was prepared of the person; it is part of the promise because the folders, which
            tell it, go first.
        called: by the user and in photo programs, folded; part of it because the names in people.json go first, too.
    """

    person: Person
    ids: frozenset[str]
    pictures: frozenset[str] = frozenset()
    called: frozenset[str] = frozenset()

    @classmethod
    def about(cls, person: Person, vault: Vault, decisions: DecisionLog) -> Promise:
        promise = cls(person, ids_merged_into(decisions.active("merge"), person.id))
        folders = [own.folder for own in _folders(vault, promise)]
        called = _called(person, read_found(vault))
        strays = {digest for one in _strays(vault, decisions, promise) for digest in one.digests}
        return dataclasses.replace(promise, pictures=pictures_in(vault, folders) | strays, called=called)

    @classmethod
    def of(cls, made: Decision, decisions: DecisionLog) -> Promise:
        """The promise that a decision is, while it is not kept."""
        person = Person(made.data["person"], made.data["name"], tuple(faces_of(made.data)))
        ids = ids_merged_into(decisions.active("merge"), person.id)
        return cls(person, ids, frozenset(made.data.get("pictures", ())), frozenset(made.data.get("called", ())))

    @property
    def contents(self) -> frozenset[str]:
        """sha256 of every picture that shows the person."""
        return self.pictures | {key.sha256 for key in self.person.faces}

    def means(self, text: str) -> bool:
        """Whether it is about who has this id or name."""
        wanted = folded(text)
        return wanted in self.ids or (self.person.name is not None and wanted == folded(self.person.name))

    def to_json(self) -> dict[str, Any]:
        """As the decision holds it until it is kept."""
        until_kept = {"name": self.person.name, "pictures": sorted(self.pictures), "called": sorted(self.called)}
        return {**self._faces_json(), **until_kept, "kept": False}

    def kept_json(self, forgotten: ForgottenNames) -> dict[str, Any]:
        """As it stays on record: by the places of the faces no later scan brings the person back, and by the hashes of
        the names none of these.

        Args:
            forgotten: the names of other promises.
        """
        return {**self._faces_json(), **forgotten.to_json(self.called), "kept": True}

    def _faces_json(self) -> dict[str, Any]:
        return {"person": self.person.id, "faces": [key.to_json() for key in self.person.faces]}


Kept = tuple[Promise, Forgotten]
"""A promise, and what was removed to keep it."""


def plan(vault: Vault, catalog: VaultCatalog, decisions: DecisionLog, promise: Promise) -> Forgotten:
    """What keeping the promise removes."""
    return _planned(vault, catalog, decisions, promise, _folders(vault, promise), _strays(vault, decisions, promise))


def _planned(
    vault: Vault,
    catalog: VaultCatalog,
    decisions: DecisionLog,
    promise: Promise,
    folders: Sequence[OwnFiles],
    strays: Sequence[Strays],
) -> Forgotten:
    usual = vault.person(promise.person.folder_name)
    in_other_sets = [path for one in strays for path in one.ours]
    paths = (*(place for own in folders for place in own.places), *in_other_sets, *_files(vault, promise))
    kept = [path for own in folders for path in own.others] + [path for one in strays for path in one.others]
    if usual not in paths and usual.exists() and owner_of(usual) is None:  # made by hand, or its record is lost
        kept.append(usual)
    runs = notes_on_runs(vault, promise.contents, [usual, *(own.folder for own in folders)])
    return Forgotten(
        promise.person.called,
        len(promise.person.faces),
        len(_personal(decisions, promise)),
        paths,
        done=False,
        kept=tuple(kept),
        notes=(*runs, *notes_on_gone(folders_gone(vault, promise.ids)), _OUTSIDE, _FOR_GOOD),
        unseen=unseen_faces(catalog, _fingerprint(vault)),
        observed=observations(vault, promise.contents),
    )


def keep(vault: Vault, catalog: VaultCatalog, decisions: DecisionLog, made: Decision) -> Forgotten:
    """Remove what a promise is about. Killed at any point and called again, it removes the rest.

    Raises:
        StorageError: something may not be removed, or another program reads what is to go; the promise stands.
    """
    promise = Promise.of(made, decisions)
    folders, strays = _folders(vault, promise), _strays(vault, decisions, promise)
    found = _planned(vault, catalog, decisions, promise, folders, strays)
    for own in folders:
        own.remove()
    for one in strays:
        one.remove()
    remove(_files(vault, promise))
    forget_faces(catalog, promise.person.faces)
    forget_unseen(catalog, _fingerprint(vault))
    forget_observations(vault, promise.contents)
    duplicates = last_duplicates(vault)
    if duplicates is not None:
        left = without_faces(duplicates, {key.sha256 for key in promise.person.faces})
        write_json(vault.duplicates, left.to_json(), private=True)
    else:  # of a damaged file nothing says what it holds of the person
        remove([vault.duplicates])
    people = read_found(vault)
    PhotoNames(catalog).forget(promise.person.faces, promise.called)
    if people is not None:
        write_people(vault, people_of(_without(people, promise.person.faces, promise.called), decisions.active()))
    drop_outside(vault, promise.ids)
    catalog.leave_nothing()
    # the name goes last, and with it the mark that something is left to do: until then the person can be told by it
    decisions.redact(_personal(decisions, promise), {made.number: promise.kept_json(ForgottenNames(decisions))})
    return dataclasses.replace(found, done=True)


def keep_promises(vault: Vault, catalog: VaultCatalog, decisions: DecisionLog) -> tuple[Kept, ...]:
    """Keep the standing promises that are not kept yet: their process was killed.

    Costs a look through the decisions where there is none.
    """
    return tuple((Promise.of(made, decisions), keep(vault, catalog, decisions, made)) for made in unkept(decisions))


def notes_on_gone(folders: Iterable[Path]) -> tuple[str, ...]:
    """A line for each folder with a training set that cannot be reached now."""
    return tuple(
        f"A training set was written to {folder}, which is not there now. Where it was moved, or its disk is away,"
        " delete it yourself."
        for folder in folders
    )


def unkept(decisions: DecisionLog) -> list[Decision]:
    """The standing promises that are not kept yet."""
    return [made for made in decisions.active("forget") if not made.data["kept"]]


def _fingerprint(vault: Vault) -> str:
    """Of what measured the photos as they are known now; "" where no scan is on record, so that nothing is."""
    return ScanRecord.read(vault).fingerprint if vault.scan_record.exists() else ""


def _personal(decisions: DecisionLog, promise: Promise) -> list[int]:
    return [made.number for made in decisions.all() if made.kind in _PERSONAL and made.data["person"] in promise.ids]


def _folders(vault: Vault, promise: Promise) -> tuple[OwnFiles, ...]:
    """The person's prepared folders: those whose person.json says so, and the usual one where the first `prep` was
    killed before it wrote one; and those outside of the vault.
    """
    usual = vault.person(promise.person.folder_name)
    found = folders_of(vault, promise.ids)
    begun = owner_of(usual) is None and is_prepared(usual)
    outside = folders_outside(vault, promise.ids)
    masks = mask_folders(vault.root / "organized")
    return tuple(OwnFiles.of(folder, masks) for folder in (*found, *([usual] if begun else []), *outside))


def _strays(vault: Vault, decisions: DecisionLog, promise: Promise) -> tuple[Strays, ...]:
    return strays_of(vault, decisions, promise.ids, promise.person.faces)


def _files(vault: Vault, promise: Promise) -> tuple[Path, ...]:
    """Files of the vault's own that hold something of the person and are there."""
    found = [
        *(path for name in sorted(promise.ids) for path in (vault.captions(name), vault.gaps(name))),
        *(path for cache in (vault.crops, vault.likeness) for path in with_journals(cache)),
    ]
    return tuple(path for path in found if path.exists())


def _called(person: Person, found: Found | None) -> frozenset[str]:
    """What the person is called by the user and in photo programs, folded."""
    said = None if found is None else in_photos(person.faces, found.named).name
    return frozenset(folded(name) for name in (person.name, said) if name is not None)


def _without(found: Found, faces: Iterable[FaceKey], names: Set[str]) -> Found:
    """``names``: that go as well, whichever face has them."""
    gone = KeyIndex(faces)
    groups: Mapping[str, tuple[FaceKey, ...]] = {
        name: kept for name, keys in found.groups.items() if (kept := tuple(key for key in keys if not gone.find(key)))
    }
    return dataclasses.replace(
        found,
        groups=groups,
        strangers=tuple(key for key in found.strangers if not gone.find(key)),
        moved={key: to for key, to in found.moved.items() if not gone.find(key)},
        named={key: name for key, name in found.named.items() if not gone.find(key) and folded(name) not in names},
        inputs="",  # should undo and a scan bring the same faces back, they are told apart anew
    )
