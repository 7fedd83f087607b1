"""Whose training set lies in a folder below organized/: its person.json says it."""

from __future__ import annotations

import contextlib
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.file_names import is_inside
from twinloop.errors import StateError
from twinloop.store.atomic import read_as, read_json
from twinloop.store.pictures.sidecar import PERSON
from twinloop.store.vault.folder import Vault


def folders_of(vault: Vault, ids: Set[str]) -> tuple[Path, ...]:
    """Every folder below organized/ whose person.json is of one of these people, by name."""
    return tuple(folder for folder in sorted((vault.root / "organized").glob("*")) if owner_of(folder) in ids)


def owner_of(folder: Path) -> str | None:
    """Whose training set lies in a folder, by its person.json; None where there is none that can be read."""
    owner = owner_in(folder)
    return None if owner is None else owner.id


def read_record(path: Path) -> Any:
    """A person.json whose entries are what `prep` writes there, each in the folder itself or below; whose it is, if
    anybody's, is for the caller.

    Raises:
        StateError: damaged; names the file and the next step.
    """
    return read_as(path, _checked, "Move it away and run vault prep again.")


def _checked(data: Any) -> Any:
    if isinstance(data, dict):
        for item in data.get("pictures", ()):
            str(item["file"] + item["source"]["sha256"])
            _check_inside(item["file"])
        for item in data.get("files", ()):
            str(item["file"] + item["sha256"] + item["photo"] + item["key"])
            _check_inside(item["file"])
    return data


def _check_inside(name: str) -> None:
    """Raises ValueError for a file outside of the folder: `prep` removes what a record names, and takes it for training
    on, and a record may come from anywhere.
    """
    if not is_inside(name):
        raise ValueError(f"it names {name!r}, which leads out of its folder")


@dataclass(frozen=True)
class Owner:
    """Whose a training set is, as its person.json says: the id in a vault, the name then, and which vault; "" = not
    said.
    """

    id: str
    name: str
    vault: str

    @property
    def called(self) -> str:
        return f"{self.name} ({self.id})" if self.name else self.id


def owner_in(folder: Path) -> Owner | None:
    """`owner_of` with all that tells this owner from one with the same id in another vault."""
    with contextlib.suppress(StateError):
        record = folder / PERSON
        data = read_json(record) if record.is_file() else None
        if isinstance(data, dict) and "person" in data:
            return Owner(str(data["person"]), str(data.get("name") or ""), str(data.get("vault") or ""))
    return None
