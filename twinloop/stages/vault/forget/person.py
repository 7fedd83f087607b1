"""Forget a person: remove what was derived of one. Photos themselves are never touched."""

from __future__ import annotations

from twinloop.domain.vault import FaceKey, Person
from twinloop.domain.wording import plural
from twinloop.errors import StateError
from twinloop.stages.vault.forget.promise import Forgotten, Promise, keep, plan
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.key_index import KeyIndex
from twinloop.stages.vault.people.membership import faces_of
from twinloop.stages.vault.people.record import read_found
from twinloop.store.vault.decisions import DecisionLog
from twinloop.store.vault.faces import embedded_faces


def forget_person(opened: OpenVault, person: Person, really: bool) -> Forgotten:
    """Remove faces, embeddings, thumbnails, names, labels, captions and the training set of one person.

    The places of the faces stay on record, so that no later scan of these photos brings the person back.
    What was measured of photos that are gone or were changed, or by other models than the last scan's, is nobody's any
    more and goes as a whole.
    Caches that hold something of everybody are deleted as a whole; they are made again when they are needed.
    Killed in between, whatever opens the vault next removes the rest (`promise.keep_promises`).

    Args:
        really: False = only say what would go.

    Raises:
        StateError: faces were found since people were told apart: some may be this person's. StorageError: as `keep`.
    """
    _check_all_known(opened, person)
    promise = Promise.about(person, opened.vault, opened.decisions)
    if not really:
        return plan(opened.vault, opened.catalog, opened.decisions, promise)
    made = opened.decisions.add("forget", promise.to_json())
    return keep(opened.vault, opened.catalog, opened.decisions, made)


def _check_all_known(opened: OpenVault, person: Person) -> None:
    """Raises StateError: of some faces nobody knows yet whose they are."""
    found = read_found(opened.vault)
    known = KeyIndex(
        () if found is None else (key for keys in (*found.groups.values(), found.strangers) for key in keys)
    )
    new = sum(known.find(key) is None for key in embedded_faces(opened.catalog, opened.fingerprint))
    if new:
        raise StateError(
            f"{plural(new, 'face was', 'faces were')} found since people were told apart, and may be of"
            f" {person.called}, too. First: {opened.vault.command('cluster')}"
        )


def forgotten_faces(decisions: DecisionLog) -> dict[str, tuple[FaceKey, ...]]:
    """By content hash: the faces that no scan may keep."""
    found: dict[str, tuple[FaceKey, ...]] = {}
    for made in decisions.active("forget"):
        for key in faces_of(made.data):
            found[key.sha256] = (*found.get(key.sha256, ()), key)
    return found
