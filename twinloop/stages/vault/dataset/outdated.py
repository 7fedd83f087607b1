"""Training sets that `prep` would make otherwise now: for what was said of people and duplicates, or came since."""

from __future__ import annotations

import os
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from twinloop.domain.vault import FaceKey, Person
from twinloop.domain.wording import plural
from twinloop.stages.vault.copies.of_person import Copies, copies_of
from twinloop.stages.vault.copies.record import last_duplicates
from twinloop.stages.vault.dataset.by_hand import prepared_record, records_outside
from twinloop.stages.vault.dataset.choose import sorted_out
from twinloop.stages.vault.dataset.cut import Cut, CutOptions
from twinloop.stages.vault.dataset.folder import location
from twinloop.stages.vault.dataset.folder.carried import unavailable
from twinloop.stages.vault.dataset.label import label_of
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.record import read_people
from twinloop.system import shell


@dataclass(frozen=True)
class Outdated:
    """How a training set differs from what is known now.

    Attributes:
        person: whose it is (id). output: its folder, where that is outside of the vault; "" = it is inside.
        pictures: how many would come, go or be cut around another face. label: whether the person is called otherwise,
            or the consent is another.
    """

    person: str
    output: str
    pictures: int
    label: bool

    @property
    def text(self) -> str:
        parts = [plural(self.pictures, "picture")] if self.pictures else []
        return " and ".join(parts + (["the label"] if self.label else []))

    @property
    def arguments(self) -> str:
        """Of the ``twinloop vault`` that follows what is known now."""
        return f"prep {self.person}" + (f" --output {shell.quote(self.output)}" if self.output else "")

    def to_json(self) -> dict[str, Any]:
        return {"pictures": self.pictures, "label": self.label}


def outdated(opened: OpenVault, ids: Set[str] | None = None) -> dict[str, Outdated]:
    """Training sets of these people (None = of everybody) that differ from what is known now, by name; those outside of
    the vault by path.

    Photos that no `dedup` has compared yet count as if none of them were a copy.
    """
    if not opened.vault.people.exists():
        return {}
    people = read_people(opened.vault)
    if people.fingerprint != opened.fingerprint:  # prep asks for `cluster` first
        return {}
    found = {}
    for person in people.persons:
        if ids is not None and person.id not in ids:
            continue
        records = {location.found(opened, person).root.name: ("", prepared_record(opened, person))}
        outside = records_outside(opened, person).items()
        records |= {os.fspath(path): (os.fspath(path), record) for path, record in outside}
        for name, (output, record) in records.items():
            one = Outdated(person.id, output, _pictures(opened, person, record), _label(opened, person, record))
            if one.pictures or one.label:
                found[name] = one
    return found


def _pictures(opened: OpenVault, person: Person, record: Mapping[str, Any]) -> int:
    if "cutting" not in record:  # of a version that does not say how they were cut
        return 0
    copies = Copies() if last_duplicates(opened.vault) is None else copies_of(opened, person)
    cuts = sorted_out(opened, person, copies, CutOptions(**record["cutting"])).cuts
    now = {cut.photo.sha256: cut for cut in cuts}
    then = {item["source"]["sha256"]: item for item in record.get("pictures", ())}
    # pictures of photos that cannot be read now stay as they are
    gone = unavailable(opened, set(then) - now.keys()) | {photo for photo, item in then.items() if item.get("gone")}
    doubted = {
        photo
        for photo in now.keys() - then.keys()
        if all(entry.mtime_ns < 0 for entry in opened.catalog.files.holding(photo))
    }
    left = then.keys() - now.keys() - gone - opened.decisions.same_shot.all_of(now)
    came = now.keys() - then.keys() - doubted - opened.decisions.same_shot.all_of(then)
    other_face = sum(_is_cut_otherwise(now[photo], then[photo]) for photo in now.keys() & then.keys() - gone)
    return len(left) + len(came) + other_face


def _is_cut_otherwise(cut: Cut, item: Mapping[str, Any]) -> bool:
    """Whether a picture is of another face than it would be cut around now."""
    photo, face = cut.photo, item["source"].get("face")
    if face is None:
        return False
    before = FaceKey(photo.sha256, tuple(face))
    now = FaceKey.of_whole(photo.sha256) if cut.number is None else photo.key(cut.number)
    return before != now and not before.same(now)


def _label(opened: OpenVault, person: Person, record: Mapping[str, Any]) -> bool:
    label = label_of(opened.decisions, person.id)
    if label is None:
        return False
    said: dict[str, Any] = {"name": person.name, "trigger": label.trigger, "class_word": label.class_word}
    said["consent"] = label.consent.to_json()
    return any(name in record and record[name] != value for name, value in said.items())
