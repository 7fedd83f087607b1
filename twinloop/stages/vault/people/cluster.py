"""Cluster: who is who among the faces of a vault, with ids that last. What the user decided stays decided."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from twinloop.domain.vault import Decision, FaceKey
from twinloop.domain.wording import some
from twinloop.errors import NothingToDo
from twinloop.ports import NeighbourSearch, Reporter
from twinloop.ports.detectors import embedder_in
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.called import named_faces
from twinloop.stages.vault.people.following import following
from twinloop.stages.vault.people.grouping import STRANGER, FaceSet, Grouped, group
from twinloop.stages.vault.people.key_index import KeyIndex
from twinloop.stages.vault.people.lasting_ids import anchored, lasting_ids
from twinloop.stages.vault.people.membership import APPLIED, KINDS
from twinloop.stages.vault.people.record import Found, Moved, People, people_of, read_found, used_numbers, write_people
from twinloop.store.vault.faces import FaceTable, face_entries, face_table
from twinloop.store.vault.folder import Vault
from twinloop.store.vault.same_shot import SameShot

VERSION = "cluster-1"
EXACT_UP_TO = 100_000
"""Faces up to which every pair is looked at."""
MIN_FACES = 3


@dataclass(frozen=True)
class ClusterOptions:
    """How people are told apart; None = as in the last run, else by default.

    Attributes:
        limit: average cosine between two groups from which they are one person; 0 = what follows from the embedder.
        min_faces: that make a person, on as many photos.
    """

    limit: float | None = None
    min_faces: int | None = None


@dataclass(frozen=True)
class Clustered:
    """The outcome.

    Attributes:
        new: ids that were not there before. gone: ids that nobody has any more; they are not given again.
        changed: whether people.json was written.
    """

    people: People
    new: tuple[str, ...]
    gone: tuple[str, ...]
    changed: bool

    def to_json(self) -> dict[str, Any]:
        found = self.people.found
        return {
            "people": len(self.people.persons),
            "faces": sum(len(person.faces) for person in self.people.persons),
            "strangers": len(self.people.strangers),
            "limit": found.limit,
            "min_faces": found.min_faces,
            "new": list(self.new),
            "gone": list(self.gone),
            "changed": self.changed,
        }


def cluster(
    opened: OpenVault, options: ClusterOptions, search: Callable[[], NeighbourSearch], reporter: Reporter
) -> Clustered:
    """Tell the people of a vault apart and write people.json. With nothing new nothing changes.

    Args:
        search: makes the approximate index; called for more than `EXACT_UP_TO` faces only.

    Raises:
        NothingToDo: no face, or none with an embedding. MissingExtra: too many faces for the exact way, and no index is
            installed.
    """
    before = read_found(opened.vault)
    decisions, applied = (opened.decisions.active(*kinds) for kinds in (KINDS, APPLIED))
    table = face_table(opened.catalog, opened.fingerprint)
    entries = [entry.key for entry in face_entries(opened.catalog, opened.fingerprint)]
    if not len(table):
        raise NothingToDo(_nothing(opened, len(entries)))
    chosen, least = _settings(options, before, opened.fingerprint, reporter)
    inputs, named = _inputs(opened, entries, chosen, least), named_faces(opened, entries)
    if before is not None and before.inputs == inputs:
        people = people_of(replace(before, named=named), applied)
        return Clustered(people, (), (), write_people(opened.vault, people))
    grouped = _grouped(table, opened.record.strangers, least, chosen, search, opened.noting(reporter))
    found = _found(opened, table, entries, grouped, before, (chosen, least, inputs))
    found = _with_moved(found, before, decisions, table, grouped.limits.margin, opened.decisions.same_shot)
    found = replace(found, named=named)
    people = people_of(found, applied)
    old = {person.id for person in people_of(before, applied).persons} if before is not None else set()
    now = [person.id for person in people.persons]
    return Clustered(
        people,
        tuple(name for name in now if name not in old),
        tuple(sorted(old - set(now))),
        write_people(opened.vault, people),
    )


def _settings(
    options: ClusterOptions, before: Found | None, fingerprint: str, reporter: Reporter
) -> tuple[float | None, int]:
    """The user's own limit or None, and the faces that make a person."""
    limit = _last_limit(before, fingerprint, reporter) if options.limit is None else options.limit
    least = options.min_faces or (before.min_faces if before is not None else MIN_FACES)
    return limit or None, least


def _last_limit(before: Found | None, fingerprint: str, reporter: Reporter) -> float | None:
    """What the user chose last; it says nothing of another embedder's cosines."""
    if before is None or before.chosen is None or embedder_in(before.fingerprint) == embedder_in(fingerprint):
        return None if before is None else before.chosen
    reporter.warn(
        f"The limit {before.chosen:.2f} was chosen for another embedder, so the one that follows from this one is"
        " taken. Your own: --limit"
    )
    return None


def _inputs(opened: OpenVault, entries: list[FaceKey], chosen: float | None, least: int) -> str:
    """Hash of all that groups follow from: embeddings follow from the photo's bytes and the fingerprint."""
    text = json.dumps(
        [
            VERSION,
            opened.fingerprint,
            opened.record.strangers,
            chosen,
            least,
            [[key.sha256, *key.box] for key in entries],
        ]
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _grouped(
    table: FaceTable,
    strangers: tuple[float, float] | None,
    least: int,
    chosen: float | None,
    search: Callable[[], NeighbourSearch],
    reporter: Reporter,
) -> Grouped:
    _, photos = np.unique([key.sha256 for key in table.keys], return_inverse=True)
    faces = FaceSet(table.embeddings, table.quality, photos.astype(np.int32))
    index = search() if len(table) > EXACT_UP_TO else None
    return group(
        faces, strangers, least, chosen, index, lambda done, total: reporter.progress("Comparing faces", done, total)
    )


def _found(
    opened: OpenVault,
    table: FaceTable,
    entries: list[FaceKey],
    grouped: Grouped,
    before: Found | None,
    settings: tuple[float | None, int, str],
) -> Found:
    """The groups with lasting ids."""
    groups: dict[int, list[FaceKey]] = {}
    for key, label in zip(table.keys, grouped.labels.tolist(), strict=True):
        if label != STRANGER:
            groups.setdefault(label, []).append(key)
    ordered = sorted(groups.values(), key=lambda keys: (-len(keys), keys[0].sha256, keys[0].box))
    every = opened.decisions.all()
    last = max([before.last if before is not None else 0, *used_numbers(every)])
    known_before = _known_before(before, opened.decisions.active(*KINDS))
    of_shots = {name: opened.decisions.same_shot.faces_of(keys) for name, keys in known_before.items()}
    ids, last = lasting_ids(ordered, of_shots, last)
    mine = dict(sorted(zip(ids, (tuple(keys) for keys in ordered), strict=True), key=lambda item: int(item[0][1:])))
    known = {key for keys in ordered for key in keys}
    chosen, least, inputs = settings
    strangers = tuple(dict.fromkeys(key for key in entries if key not in known))
    return Found(
        groups=mine,
        strangers=strangers,
        last=last,
        fingerprint=opened.fingerprint,
        limit=grouped.limits.link,
        chosen=chosen,
        min_faces=least,
        inputs=inputs,
    )


def _known_before(before: Found | None, decisions: Sequence[Decision]) -> Mapping[str, Sequence[FaceKey]]:
    """Faces by the id they had: as found last, and of whom was lost since (other models saw nobody there, say) as
    decisions noted them.
    """
    noted = anchored(decisions)
    if before is None:
        return noted
    # never found as groups: the decision makes them
    split_off = {made.data["new"] for made in decisions if made.kind == "split"}
    lost = {name: keys for name, keys in noted.items() if name not in before.groups and name not in split_off}
    theirs = {key for keys in lost.values() for key in keys}
    return {**{name: [key for key in keys if key not in theirs] for name, keys in before.groups.items()}, **lost}


def _with_moved(
    found: Found, before: Found | None, decisions: list[Decision], table: FaceTable, margin: float, shots: SameShot
) -> Found:
    """The groups with the faces that follow decided ones; those that did before go on doing so."""
    seen = (
        KeyIndex(key for keys in (*before.groups.values(), before.strangers) for key in shots.faces_of(keys))
        if before is not None
        else KeyIndex(())
    )
    vectors = dict(zip(table.keys, table.embeddings, strict=True))
    moved = following(found, seen, decisions, vectors, margin)
    here = KeyIndex(key for keys in found.groups.values() for key in keys)
    standing = {made.number for made in decisions}
    kept: dict[FaceKey, Moved] = {}
    for key, old in (before.moved if before is not None else {}).items():
        if old.decision in standing:
            kept.update(dict.fromkeys(here.find_all(shots.faces_of([key])), old))
    return replace(found, moved={**kept, **moved})


def no_face_needed(vault: Vault) -> str:
    """The way for pictures that detectors find no faces in."""
    return (
        "Where the folder is of one drawn character, robot or animal, no face is needed:"
        f" {vault.command('run FOLDER --person NAME --everything')}"
    )


def _nothing(opened: OpenVault, faces: int) -> str:
    if not opened.catalog.files.any():
        known = some(opened.record.folders)
        return f"Nothing is known of the photos of {known}. Scan first: {opened.vault.command('scan')}"
    if not faces:
        return (
            f"No faces were found in the photos of {some(opened.record.folders)} (under {opened.record.min_face} pixels"
            f" of height none is kept: --min-face). What was scanned: {opened.vault.command('status')}"
            f"\n{no_face_needed(opened.vault)}"
        )
    return (
        f"The {faces} faces in {opened.vault.root} have no identity vectors, so they cannot be told apart: the models"
        f" in {opened.record.models_dir} have no embedder, or the faces are too small. Add one (twinloop doctor names"
        " it) and scan again."
    )
