"""Which vault it is, and which training sets it wrote outside of its folder. People's ids are numbers that every vault
gives anew, so outside of it they do not say whose a set is.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Set
from pathlib import Path
from typing import NamedTuple

from twinloop.store.atomic import read_object, write_json
from twinloop.store.vault.folder import Vault


class SetOutside(NamedTuple):
    """A training set outside of the vault: whose (id), and where (absolute)."""

    person: str
    folder: Path


_FIELDS = frozenset(SetOutside._fields)


def vault_id(vault: Vault) -> str:
    """What was written down of a vault when it first prepared a training set outside of it; "" = it has none there."""
    return str(read_object(vault.identity).get("id", ""))


def made_vault_id(vault: Vault) -> str:
    """The same, made up where there is none yet.

    Raises:
        StorageError: it cannot be written down.
    """
    if not vault_id(vault):
        _write(vault, secrets.token_hex(8), sets_outside(vault))
    return vault_id(vault)


def sets_outside(vault: Vault) -> list[SetOutside]:
    """Every training set that was written outside of the vault, whether it is still there or not."""
    listed = read_object(vault.identity).get("outside")
    entries = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    return [SetOutside(str(item["person"]), Path(str(item["folder"]))) for item in entries if item.keys() >= _FIELDS]


def note_outside(vault: Vault, person: str, folder: Path) -> None:
    """Write down that a training set of a person goes to this folder.

    Raises:
        StorageError: it cannot be written down.
    """
    made, known = SetOutside(person, Path(os.path.abspath(folder))), sets_outside(vault)
    if made not in known:
        _write(vault, made_vault_id(vault), [*(one for one in known if one.folder != made.folder), made])


def drop_outside(vault: Vault, persons: Set[str]) -> None:
    """Take the training sets of these people off the list.

    Raises:
        StorageError: it cannot be written down.
    """
    known = sets_outside(vault)
    left = [one for one in known if one.person not in persons]
    if left != known:
        _write(vault, vault_id(vault), left)


def _write(vault: Vault, identity: str, sets: list[SetOutside]) -> None:
    outside = [{"person": one.person, "folder": os.fspath(one.folder)} for one in sets]
    write_json(vault.identity, {"id": identity, **({"outside": outside} if outside else {})}, private=True)
