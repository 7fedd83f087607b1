"""What the user decided, in order, with undo. Appended and never rewritten: an undone decision stays on record."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from twinloop.domain.vault import Decision, FaceKey
from twinloop.errors import NothingToDo
from twinloop.store.clock import utc_now
from twinloop.store.journal import Journal
from twinloop.store.vault.folder import SAME_SHOT
from twinloop.store.vault.same_shot import SameShot

REDACTED = "redacted"
REMEDY = (
    "Restore it from a copy: it holds all that you said of people and photos. Without one, move it away and say it"
    " again."
)


class DecisionLog:
    """The decisions of a vault. They name people and places of faces in photos: the file is readable by its owner only.

    Args:
        reading: nothing will be added; a line that another process is just writing is left alone.

    Raises:
        StateError: the log is damaged before its last line. StorageError: it may not be read or written.
    """

    def __init__(self, path: Path, reading: bool = False) -> None:
        self._journal = Journal(path, mend=not reading, private=True, remedy=REMEDY)
        self._same_shot = path.with_name(SAME_SHOT)

    @cached_property
    def same_shot(self) -> SameShot:
        """What is said of one photo of a shot holds for all of them."""
        return SameShot.read(self._same_shot)

    def add(self, kind: str, data: Mapping[str, Any]) -> Decision:
        """Write one decision down, durably."""
        made = Decision(len(self._journal) + 1, kind, dict(data), utc_now())
        self._journal.record(_key(made.number), {"kind": made.kind, "data": made.data, "when": made.when})
        return made

    def undo(self) -> Decision:
        """Take the last standing decision back; returns it.

        Raises:
            NothingToDo: there is none.
        """
        last = self.last()
        self.add("undo", {"number": last.number})
        return dataclasses.replace(last, undone=True)

    def last(self) -> Decision:
        """The last standing decision.

        Raises:
            NothingToDo: there is none.
        """
        standing = self._standing()
        if not standing:
            raise NothingToDo("There is no decision to undo.")
        return standing[-1]

    def redact(self, numbers: Iterable[int], less: Mapping[int, Mapping[str, Any]] | None = None) -> None:
        """Take the contents of these decisions out of the file for good: each stays as a numbered one of the kind
        ``redacted``.

        Args:
            less: number -> what is left of the contents of other decisions, which keep their kind; all in one step.
        """
        changes = {_key(number): {"kind": REDACTED, "data": {}} for number in numbers}
        changes |= {_key(number): {"data": dict(data)} for number, data in (less or {}).items()}
        if changes:
            self._journal.replace({key: {**self._journal.get(key), **change} for key, change in changes.items()})

    def all(self) -> list[Decision]:
        """Every decision, undone ones marked; the undoing itself is not one."""
        entries = [(number, self._journal.get(_key(number))) for number in range(1, len(self._journal) + 1)]
        undone = {entry["data"]["number"] for _, entry in entries if entry["kind"] == "undo"}
        return [
            Decision(number, entry["kind"], entry["data"], entry["when"], number in undone)
            for number, entry in entries
            if entry["kind"] != "undo"
        ]

    def active(self, *kinds: str) -> list[Decision]:
        """The standing decisions of these kinds (none named: of all), oldest first.

        What was said of a face holds for it in every photo of the shot, but for `forget`, which is said of measures.
        """
        return [self._of_shots(made) for made in self._standing() if not kinds or made.kind in kinds]

    def forgotten_photos(self) -> frozenset[str]:
        """sha256 of the photos that show somebody who was forgotten."""
        return frozenset(str(face["sha256"]) for made in self.active("forget") for face in made.data["faces"])

    def _standing(self) -> list[Decision]:
        return [made for made in self.all() if not made.undone]

    def _of_shots(self, made: Decision) -> Decision:
        if made.kind == "forget" or not self.same_shot.together:
            return made
        data = dict(made.data)
        if "faces" in data:
            data["faces"] = self._faces_of_shots(data["faces"])
        if "anchors" in data:
            data["anchors"] = {person: self._faces_of_shots(faces) for person, faces in data["anchors"].items()}
        return dataclasses.replace(made, data=data)

    def _faces_of_shots(self, faces: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [key.to_json() for key in self.same_shot.faces_of(map(FaceKey.from_json, faces))]


def _key(number: int) -> str:
    return f"{number:08d}"
