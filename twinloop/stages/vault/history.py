"""History: what the user decided, in words, the way it was said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.vault import WHOLE, Consent, Decision
from twinloop.domain.wording import plural
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.record import read_people


@dataclass(frozen=True)
class Said:
    """One decision. ``text``: what it says, in words."""

    decision: Decision
    text: str

    def to_json(self) -> dict[str, Any]:
        made = self.decision
        return {"number": made.number, "kind": made.kind, "when": made.when, "undone": made.undone, "text": self.text}


def history(opened: OpenVault) -> tuple[Said, ...]:
    """All decisions of a vault, undone ones too, oldest first."""
    names, labels = _names(opened), _Labels()
    return tuple(
        Said(made, describe(made, names, lambda sha256: _photo(opened, sha256), labels.before(made)))
        for made in opened.decisions.all()
    )


def last_said(opened: OpenVault) -> Said:
    """The last standing decision.

    Raises:
        NothingToDo: there is none.
    """
    last, before = opened.decisions.last(), None
    if last.kind == "label":
        labels = _Labels()
        before = [labels.before(made) for made in opened.decisions.all() if made.number <= last.number][-1]
    return Said(last, describe(last, _names(opened), lambda sha256: _photo(opened, sha256), before))


def describe(
    made: Decision, names: Mapping[str, str], photo: Callable[[str], str], before: Mapping[str, Any] | None = None
) -> str:
    """One decision in words.

    Args:
        names: of people, by id. photo: sha256 -> name of its file. before: contents of the label that the person had.
    """
    data = made.data
    who = _called(str(data.get("person") or data.get("into") or ""), names)
    faces = _faces(data)
    words: dict[str, Callable[[], str]] = {
        "name": lambda: f"{data['person']} is called {data['name']}",
        "hide": lambda: f"{who} is hidden",
        "show": lambda: f"{who} is shown",
        "merge": lambda: (
            f"{', '.join(_called(other, names) for other in data['people'])} merged into {_called(data['into'], names)}"
        ),
        "split": lambda: f"{faces} of {who} became {_called(data['new'], names)}",
        "reject": lambda: f"{faces} not {who}",
        "assign": lambda: f"{faces} assigned to {who}",
        "keep": lambda: f"{photo(data['sha256'])} kept instead of {photo(data['instead_of'])}",
        "distinct": lambda: f"{', '.join(photo(sha256) for sha256 in data['photos'])} are no duplicates",
        "exclude": lambda: f"{_photos(data, photo)} left out of the training set of {who}",
        "include": lambda: f"{_photos(data, photo)} taken into the training set of {who}",
        "automatic": lambda: f"{_photos(data, photo)} of {who}: chosen automatically again",
        "label": lambda: f"trigger of {who}: {data['trigger']}{_consent(data, before or {})}",
        "caption": lambda: f"caption of {photo(data['sha256'])} " + ("edited" if data["text"] else "taken back"),
        "captions": lambda: f"{len(data['texts'])} captions of {who} edited",
        "forget": lambda: f"{who} forgotten, with {faces}",
        "redacted": lambda: "of somebody who was forgotten",
    }
    return words[made.kind]() if made.kind in words else made.kind


class _Labels:
    """Contents of the labels of people, while decisions are gone through from the oldest one on."""

    def __init__(self) -> None:
        self._standing: dict[str, Mapping[str, Any]] = {}
        self._any: dict[str, Mapping[str, Any]] = {}

    def before(self, made: Decision) -> Mapping[str, Any] | None:
        """Contents of the label that the person of a label had before it, which is the next one's before from now
        on.
        """
        if made.kind != "label":
            return None
        person = str(made.data["person"])
        # what was taken back by now may have stood when another was made that was taken back, too
        found = (self._any if made.undone else self._standing).get(person)
        self._any[person] = made.data
        if not made.undone:
            self._standing[person] = made.data
        return found


def _consent(data: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """``; consent: written consent; by: ...``, where a label changes it; "" else."""
    now, was = Consent.from_json(data.get("consent")), Consent.from_json(before.get("consent"))
    return "" if now == was else f"; consent: {now.text}"


def _names(opened: OpenVault) -> dict[str, str]:
    if not opened.vault.people.exists():
        return {}
    return {person.id: person.name for person in read_people(opened.vault).persons if person.name}


def _faces(data: Mapping[str, Any]) -> str:
    """How many faces and whole pictures a decision is about."""
    every = data.get("faces", ())
    whole = sum(tuple(item.get("box", ())) == WHOLE for item in every)
    if not whole:
        return plural(len(every), "face")
    pictures = plural(whole, "whole picture")
    return f"{plural(len(every) - whole, 'face')} and {pictures}" if len(every) > whole else pictures


def _photos(data: Mapping[str, Any], photo: Callable[[str], str]) -> str:
    """The name of the only photo of a decision, or how many there are."""
    photos = data["photos"]
    return photo(photos[0]) if len(photos) == 1 else plural(len(photos), "photo")


def _called(person: str, names: Mapping[str, str]) -> str:
    return names.get(person, person) or "strangers"


def _photo(opened: OpenVault, sha256: str) -> str:
    for one in (sha256, *sorted(opened.decisions.same_shot.of(sha256))):
        found = opened.catalog.photo(one, opened.fingerprint)
        if found is not None:
            return Path(found.paths[0]).name
    return sha256[:8]
