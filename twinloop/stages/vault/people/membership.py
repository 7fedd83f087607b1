"""What the user decided, on top of what was found: the same decisions on the same groups always
give the same people.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twinloop.domain.vault import Decision, FaceKey, Person
from twinloop.stages.vault.people.key_index import KeyIndex

KINDS = ("name", "hide", "show", "merge", "split", "reject", "assign")
"""Decisions about people."""
APPLIED = (*KINDS, "forget")
"""Decisions from which it follows who has which faces."""


def faces_of(data: Mapping[str, Any]) -> list[FaceKey]:
    """The faces of a decision."""
    return [FaceKey.from_json(item) for item in data["faces"]]


class Membership:
    """Who has which faces, as decisions are applied one after the other.

    Args:
        groups: faces by person, as found. strangers: the faces of nobody. No face twice.
    """

    def __init__(self, groups: Mapping[str, Sequence[FaceKey]], strangers: Iterable[FaceKey]) -> None:
        self._faces = {person: dict.fromkeys(keys) for person, keys in groups.items()}
        self._owner = {key: person for person, keys in groups.items() for key in keys}
        self._strangers = dict.fromkeys(strangers)
        self._index = KeyIndex([*self._owner, *self._strangers])
        self._names: dict[str, str] = {}
        self._hidden: set[str] = set()
        self._rejected: dict[str, set[FaceKey]] = {}
        self._told: set[FaceKey] = set()  # whose person was said, not found

    def apply(self, decisions: Iterable[Decision]) -> None:
        """Apply decisions about people, oldest first; other kinds are passed over.

        Faces that are no longer there count for nothing. Whole pictures are there because a decision says so.
        """
        steps: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "name": self._name,
            "hide": self._hide,
            "show": self._show,
            "merge": self._merge,
            "split": self._split,
            "reject": self._reject,
            "assign": self._assign,
            "forget": self._forget,
        }
        for made in decisions:
            if made.kind in steps:
                steps[made.kind](made.data)

    def follow(self, moved: Mapping[FaceKey, str | None]) -> None:
        """Put new faces where the decided ones went that they are like; None = to the strangers."""
        for key, person in moved.items():
            found = self._index.find(key)
            if found is not None:
                self._put(found, person)

    def people(self) -> tuple[tuple[Person, ...], tuple[FaceKey, ...]]:
        """The people, by id, and the strangers. People without any face are not there now."""
        for person, keys in self._rejected.items():
            for key in keys & self._faces.get(person, {}).keys():
                self._put(key, None)
        people = tuple(
            Person(person, self._names.get(person), tuple(sorted(keys, key=_by_photo)), person in self._hidden)
            for person, keys in sorted(self._faces.items(), key=lambda item: number_of(item[0]))
            if keys
        )
        return people, tuple(sorted(self._strangers, key=_by_photo))

    def _put(self, key: FaceKey, person: str | None) -> None:
        before = self._owner.pop(key, None)
        if before is None:
            self._strangers.pop(key, None)
        else:
            del self._faces[before][key]
        if person is None:
            if self._index.find(key) is not None:  # a whole picture is nobody's any more
                self._strangers[key] = None
        else:
            self._faces.setdefault(person, {})[key] = None
            self._owner[key] = person

    def _name(self, data: Mapping[str, Any]) -> None:
        self._names[data["person"]] = data["name"]

    def _hide(self, data: Mapping[str, Any]) -> None:
        self._hidden.add(data["person"])

    def _show(self, data: Mapping[str, Any]) -> None:
        self._hidden.discard(data["person"])

    def _merge(self, data: Mapping[str, Any]) -> None:
        into = data["into"]
        for person in data["people"]:
            moved = list(self._faces.get(person, ()))
            for key in moved:
                self._put(key, into)
            # said to be of this person, later than said not to be of that one. Faces that a clustering alone put here
            # stay out:
            # of two merged people the groups may change with every new photo, and what was rejected must not come back
            # that way
            self._rejected.get(into, set()).difference_update(self._told.intersection(moved))
            name = self._names.pop(person, None)
            if name is not None:
                self._names.setdefault(into, name)
            self._rejected.setdefault(into, set()).update(self._rejected.pop(person, set()))

    def _split(self, data: Mapping[str, Any]) -> None:
        for key in self._meant(data):
            self._put(key, data["new"])
            self._told.add(key)

    def _reject(self, data: Mapping[str, Any]) -> None:
        self._rejected.setdefault(data["person"], set()).update(self._meant(data))

    def _assign(self, data: Mapping[str, Any]) -> None:
        for key in self._meant(data):
            self._put(key, data["person"])
            self._told.add(key)
            self._rejected.get(data["person"], set()).discard(key)

    def _forget(self, data: Mapping[str, Any]) -> None:
        """Whole pictures were there only because a decision said so; faces are gone from what was found."""
        for key in self._meant(data):
            if key.is_whole and key in self._owner:
                self._put(key, None)

    def _meant(self, data: Mapping[str, Any]) -> list[FaceKey]:
        """The faces of a decision that are there, each once, and its whole pictures."""
        found = ((self._index.find(key) or (key if key.is_whole else None)) for key in faces_of(data))
        return list(dict.fromkeys(key for key in found if key is not None))


def ids_merged_into(merges: Sequence[Decision], person: str) -> frozenset[str]:
    """The id of a person and those that were merged into it, also by way of others.

    ``merges``: standing ones, oldest first.
    """
    ids = {person}
    for made in reversed(merges):
        if made.data["into"] in ids:
            ids |= set(made.data["people"])
    return frozenset(ids)


def number_of(person: str) -> int:
    """7 for ``p007``."""
    return int(person[1:])


def looks_like_id(text: str) -> bool:
    """Whether a name could be taken for somebody's id, now or later."""
    return re.fullmatch(r"p\d+", text.strip().casefold()) is not None


def id_of(number: int) -> str:
    return f"p{number:03d}"


def _by_photo(key: FaceKey) -> tuple[str, tuple[float, float, float, float]]:
    return key.sha256, key.box
