"""What was said in the vault beside the menu: with commands, on the page, in the files of a training set."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from twinloop.domain.names import folded
from twinloop.domain.vault import Consent, Decision
from twinloop.errors import InputError, StateError, StorageError
from twinloop.store.atomic import sha256_file
from twinloop.store.vault.decisions import DecisionLog
from twinloop.store.vault.folder import Vault


@dataclass(frozen=True)
class Said:
    """How a person is called in training, and on what ground the photos may be used."""

    trigger: str
    class_word: str
    consent: Consent


def state_of(vault: Vault, name: str) -> str:
    """Another one when something was decided in the vault, or a caption of the person's training set was edited."""
    found = hashlib.sha256()
    if vault.decisions.is_file():
        found.update(sha256_file(vault.decisions).encode())
    for path in sorted(vault.person(name).rglob("*.txt")):
        stat = path.stat()
        found.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return found.hexdigest()[:16]


def said_of(vault: Vault, name: str) -> Said | None:
    """The label that stands of the person who has this name: the person's own, else that of somebody who was merged
    into this person. None = nobody has the name, or there is no label.
    """
    try:
        made = DecisionLog(vault.decisions, reading=True).active("name", "label", "merge") if _is_there(vault) else []
    except (InputError, StateError, StorageError):
        return None  # the vault's own commands say what is wrong with it
    person, *merged = _called(made, name) or [""]
    for ids in ([person], merged):
        if labels := [one.data for one in made if one.kind == "label" and one.data["person"] in ids]:
            last = labels[-1]
            return Said(str(last["trigger"]), str(last["class_word"]), Consent.from_json(last["consent"]))
    return None


def _is_there(vault: Vault) -> bool:
    return vault.decisions.is_file()


def _called(made: list[Decision], name: str) -> list[str]:
    """Id of the person, then those who were merged into this one; none: nobody is called so."""
    people = [str(person) for person, called in _names(made).items() if folded(called) == folded(name)][:1]
    for one in reversed([one for one in made if one.kind == "merge"]):
        if one.data["into"] in people:
            people += [str(person) for person in one.data["people"]]
    return people


def _names(made: list[Decision]) -> dict[str, str]:
    """Id of a person -> the name; who has none takes that of somebody who is merged into this person."""
    names: dict[str, str] = {}
    for one in made:
        if one.kind == "name":
            names[one.data["person"]] = str(one.data["name"])
        for gone in one.data["people"] if one.kind == "merge" else ():
            if (own := names.pop(gone, None)) is not None:
                names.setdefault(one.data["into"], own)
    return names
