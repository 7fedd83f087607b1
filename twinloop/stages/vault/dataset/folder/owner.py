"""Whose training set lies in a folder below organized/: its person.json says it."""

from __future__ import annotations

import contextlib
from collections.abc import Set
from pathlib import Path

from twinloop.errors import StateError
from twinloop.store.atomic import read_json
from twinloop.store.sidecar import PERSON
from twinloop.store.vault import Vault


def folders_of(vault: Vault, ids: Set[str]) -> tuple[Path, ...]:
    """Every folder below organized/ whose person.json is of one of these people, by name."""
    return tuple(folder for folder in sorted((vault.root / "organized").glob("*")) if owner_of(folder) in ids)


def owner_of(folder: Path) -> str | None:
    """Whose training set lies in a folder, by its person.json; None where there is none that can be read."""
    with contextlib.suppress(StateError):
        record = folder / PERSON
        data = read_json(record) if record.is_file() else None
        return str(data["person"]) if isinstance(data, dict) and "person" in data else None
    return None
