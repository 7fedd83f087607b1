"""Forget a person: remove what was derived of one. Photos themselves are never touched."""

from __future__ import annotations

from twinloop.domain.vault import FaceKey, Person
from twinloop.stages.vault.forget.promise import Forgotten, Promise, keep, plan
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.membership import faces_of
from twinloop.store.decisions import DecisionLog


def forget_person(opened: OpenVault, person: Person, really: bool) -> Forgotten:
    """Remove faces, embeddings, thumbnails, names, labels, captions and the training set of one person.

    The places of the faces stay on record, so that no later scan brings the person back.
    Caches that hold something of everybody are deleted as a whole; they are made again when they are needed.
    Killed in between, whatever opens the vault next removes the rest (`promise.keep_promises`).

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
