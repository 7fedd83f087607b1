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
    """The label that stands of the person who has this name; None = nobody has it, or none was given."""
    try:
        made = DecisionLog(vault.decisions, reading=True).active("name", "label", "merge") if _is_there(vault) else []
    except (InputError, StateError, StorageError):
        return None  # the vault's own commands say what is wrong with it
    ids = _called(made, name)
    labels = [one.data for one in made if one.kind == "label" and one.data["person"] in ids]
    if not labels:
        return None
    last = labels[-1]
    return Said(str(last["trigger"]), str(last["class_word"]), Consent.from_json(last["consent"]))


def _is_there(vault: Vault) -> bool:
    return vault.decisions.is_file()


def _called(made: list[Decision], name: str) -> set[str]:
    """Ids of the person, with those who were merged into this one."""
    names = {one.data["person"]: str(one.data["name"]) for one in made if one.kind == "name"}
    ids = {str(person) for person, called in names.items() if folded(called) == folded(name)}
    for one in reversed([one for one in made if one.kind == "merge"]):
        if one.data["into"] in ids:
            ids |= {str(person) for person in one.data["people"]}
    return ids
