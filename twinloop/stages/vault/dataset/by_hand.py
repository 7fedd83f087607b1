"""Which photos of a person the user leaves out of the training set, or takes in, by hand.

Both are decisions, and can be undone. Of several about one photo the last one counts. They hold for the shot: for a raw
photo and for the JPEG beside it (`SameShot`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.vault import Decision, Person
from twinloop.domain.wording import plural
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.vault.dataset.folder import location
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.membership import ids_merged_into
from twinloop.stages.vault.photo_named import photo_named
from twinloop.store.atomic import read_json
from twinloop.store.pictures.sidecar import PERSON
from twinloop.store.vault.decisions import DecisionLog

EXCLUDE, INCLUDE, AUTOMATIC = "exclude", "include", "automatic"
KINDS = (EXCLUDE, INCLUDE, AUTOMATIC)
"""Kinds of decisions about single photos; the last one gives the choice back to `prep`."""
STANDS = {EXCLUDE: "left out by hand", INCLUDE: "taken in by hand", AUTOMATIC: "chosen automatically"}


@dataclass(frozen=True)
class ByHand:
    """What stands, as sha256 of the person's photos."""

    left_out: frozenset[str] = frozenset()
    taken_in: frozenset[str] = frozenset()

    def of(self, sha256: str) -> str:
        """The kind of the decision that stands about a photo."""
        return EXCLUDE if sha256 in self.left_out else INCLUDE if sha256 in self.taken_in else AUTOMATIC

    def to_json(self) -> dict[str, list[str]]:
        return {"left_out": sorted(self.left_out), "taken_in": sorted(self.taken_in)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ByHand:
        return cls(frozenset(data.get("left_out", ())), frozenset(data.get("taken_in", ())))


def by_hand(decisions: DecisionLog, person: Person) -> ByHand:
    """What stands about the person's photos, also what was said of who was merged into this person."""
    ids = ids_merged_into(decisions.active("merge"), person.id)
    said: dict[str, str] = {}
    for made in decisions.active(*KINDS):
        if made.data["person"] in ids:
            said.update(dict.fromkeys(decisions.same_shot.all_of(made.data["photos"]), made.kind))
    mine = {key.sha256 for key in person.faces}
    left_out, taken_in = (frozenset(one for one in mine if said.get(one) == kind) for kind in (EXCLUDE, INCLUDE))
    return ByHand(left_out, taken_in)


def say(opened: OpenVault, person: Person, kind: str, photos: Sequence[str]) -> Decision:
    """Write down what is said of these photos (sha256).

    Raises:
        InputError: an unknown kind, no photo, or one that does not show the person. NothingToDo: it stands already.
    """
    if kind not in KINDS:
        raise InputError(f"Unknown choice '{kind}'. Known: {', '.join(KINDS)}.")
    mine = {key.sha256 for key in person.faces}
    if not photos or not mine.issuperset(photos):
        raise InputError(f"Name photos with a face of {person.called}.")
    standing = by_hand(opened.decisions, person)
    changed = sorted({sha256 for sha256 in photos if standing.of(sha256) != kind})
    if not changed:
        which = plural(len(set(photos)), "photo is", "photos are")
        raise NothingToDo(f"{which} {STANDS[kind]} already; nothing changed.")
    return opened.decisions.add(kind, {"person": person.id, "photos": changed})


def photos_meant(opened: OpenVault, person: Person, files: Sequence[Path]) -> list[str]:
    """sha256 of the person's photos in these files: the photos themselves, or pictures that were prepared from them.

    Raises:
        InputError: a file that is no photo of the vault, or one without a face of the person.
    """
    root = location.found(opened, person).root
    pictures = prepared_record(opened, person).get("pictures", ())
    sources = {os.path.abspath(root / item["file"]): str(item["source"]["sha256"]) for item in pictures}
    return list(dict.fromkeys(_photo_meant(opened, person, file, sources) for file in files))


def _photo_meant(opened: OpenVault, person: Person, file: Path, sources: Mapping[str, str]) -> str:
    mine = {key.sha256 for key in person.faces}
    source = sources.get(os.path.abspath(file), "")
    of_shot = mine & opened.decisions.same_shot.of(source)
    if of_shot:
        return source if source in mine else min(of_shot)
    named = photo_named(opened, file, mine)
    if named.sha256 not in mine:
        raise InputError(
            f"{file} has no face of {person.called}, so it cannot be in this training set. If the person is on it:"
            f" {opened.vault.command(f'assign {person.id} FILE')}"
        )
    return named.sha256


def prepared_record(opened: OpenVault, person: Person) -> dict[str, Any]:
    """The ``person.json`` of the person's training set; {} before `prep`."""
    path = location.found(opened, person).root / PERSON
    data = read_json(path) if path.is_file() else {}
    return data if isinstance(data, dict) and data.get("person") == person.id else {}


def chosen_since(opened: OpenVault, person: Person, prepared: Mapping[str, Any]) -> int:
    """Of how many photos something else is said than when the training set was prepared.

    Args:
        prepared: the person's ``person.json``; {} before `prep`, when nothing can be behind.
    """
    if not prepared:
        return 0
    before, shots = ByHand.from_json(prepared.get("by_hand", {})), opened.decisions.same_shot
    then = ByHand(shots.all_of(before.left_out), shots.all_of(before.taken_in))
    now = by_hand(opened.decisions, person)
    return sum(then.of(key) != now.of(key) for key in {key.sha256 for key in person.faces})
