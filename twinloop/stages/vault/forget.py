"""Forget: remove what was derived of a person, or of everything. Photos themselves are never touched."""

from __future__ import annotations

from twinloop.domain.vault import FaceKey, Person
from twinloop.stages.vault.forgetting import Forgotten, Promise, keep, plan, remove, with_journals
from twinloop.stages.vault.membership import faces_of
from twinloop.stages.vault.opened import OpenVault
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
    """Remove all that the vault holds: what was measured, decided and prepared. Other files in its folder stay.

    Raises:
        Locked: another process works in it.
    """
    files = [*with_journals(vault.catalog), *with_journals(vault.crops), *with_journals(vault.likeness)]
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
            remove(paths)
    return Forgotten("everything", 0, 0, paths, done=really)
