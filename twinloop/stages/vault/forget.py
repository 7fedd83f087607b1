"""Forget: remove what was derived of a person, or of everything. Photos themselves are never touched."""

from __future__ import annotations

from pathlib import Path

from twinloop.domain.vault import FaceKey, Person
from twinloop.stages.vault.forgetting import Forgotten, Promise, keep, plan, remove, with_journals
from twinloop.stages.vault.membership import faces_of
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.own_files import OwnFiles, is_prepared, remove_empty
from twinloop.store.atomic import remove_leftovers
from twinloop.store.decisions import DecisionLog
from twinloop.store.lock import VAULT, locked
from twinloop.store.vault import Vault


def forget_person(opened: OpenVault, person: Person, really: bool) -> Forgotten:
    """Remove faces, embeddings, thumbnails, names, labels, captions and the training set of one person.

    The places of the faces stay on record, so that no later scan brings the person back.
    Caches that hold something of everybody are deleted as a whole; they are made again when they are needed.
    Killed in between, whatever opens the vault next removes the rest (`forgetting.keep_promises`).

    Args:
        really: False = only say what would go.
    """
    promise = Promise.about(person, opened.decisions)
    if not really:
        return plan(opened.vault, opened.decisions, promise)
    made = opened.decisions.add("forget", promise.to_json())
    return keep(opened.vault, opened.catalog, opened.decisions, made)


def forgotten_faces(decisions: DecisionLog) -> dict[str, tuple[FaceKey, ...]]:
    """By content hash: the faces that no scan may keep."""
    found: dict[str, tuple[FaceKey, ...]] = {}
    for made in decisions.active("forget"):
        for key in faces_of(made.data):
            found[key.sha256] = (*found.get(key.sha256, ()), key)
    return found


def forget_everything(vault: Vault, really: bool) -> Forgotten:
    """Remove all that the vault holds: what was measured, decided and prepared. Other files in its folder and in training sets stay.

    Raises:
        Locked: another process works in it.
    """
    if not really or not vault.root.is_dir():
        return _everything(vault, really=False)
    with locked(vault.root, VAULT):
        remove_leftovers(vault.root)  # half-written pictures of a preparation that was killed
        return _everything(vault, really=True)


def _everything(vault: Vault, really: bool) -> Forgotten:
    organized = vault.root / "organized"
    prepared: list[Path] = []
    by_hand: list[Path] = []
    for folder in sorted(organized.glob("*")):
        (prepared if is_prepared(folder) else by_hand).append(folder)
    own = [OwnFiles.of(folder) for folder in prepared]
    files = _own_files(vault)
    if really and (prepared or files):
        for of_one in own:
            of_one.remove()
        remove(files)
        remove_empty(organized)
    kept = [*(path for of_one in own for path in of_one.others), *by_hand]
    return Forgotten("everything", 0, 0, (*prepared, *files), done=really, kept=tuple(kept))


def _own_files(vault: Vault) -> list[Path]:
    """What the vault keeps beside training sets and is there: no user puts anything of his own under these names."""
    databases = [path for made in (vault.catalog, vault.crops, vault.likeness) for path in with_journals(made)]
    records = [vault.people, vault.duplicates, vault.scan_record, vault.decisions]
    return [path for path in (*databases, *records, vault.root / "captions", vault.root / "gaps") if path.exists()]
