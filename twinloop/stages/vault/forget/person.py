"""Forget a person: remove what was derived of one. Photos themselves are never touched."""

from __future__ import annotations

from twinloop.domain.vault import FaceKey, Person
from twinloop.domain.wording import plural
from twinloop.errors import StateError
from twinloop.stages.vault.forget.promise import Forgotten, Promise, keep, plan
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.membership import faces_of
from twinloop.stages.vault.people.new_faces import not_in
from twinloop.stages.vault.people.record import read_found
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.decisions import DecisionLog


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
    if new := not_in(read_found(opened.vault), opened.catalog, opened.fingerprint):
        raise StateError(
            f"{plural(new, 'face was', 'faces were')} found since people were told apart, and may be of"
            f" {person.called}, too. First: {opened.vault.command('cluster')}"
        )


def photos_to_measure_again(decisions: DecisionLog, catalog: VaultCatalog) -> set[str]:
    """sha256 of the photos of which a `forget` that was taken back had removed measures, until a scan measures them."""
    taken_back = (made for made in decisions.all() if made.kind == "forget" and made.undone)
    photos = {key.sha256 for made in taken_back for key in faces_of(made.data)} - forgotten_faces(decisions).keys()
    return {sha256 for sha256 in photos if not catalog.thumbnail(sha256)}


def forgotten_faces(decisions: DecisionLog) -> dict[str, tuple[FaceKey, ...]]:
    """By content hash: the faces that no scan may keep."""
    found: dict[str, tuple[FaceKey, ...]] = {}
    for made in decisions.active("forget"):
        for key in faces_of(made.data):
            found[key.sha256] = (*found.get(key.sha256, ()), key)
    return found
