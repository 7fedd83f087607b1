"""Bringing files into a models folder, and remembering what was brought: copies, whole or not at all, never over
something else.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, BinaryIO

from twinloop.errors import StateError
from twinloop.store.atomic import read_json, remove_leftovers_of, sha256_file, storage_errors, whole_file, write_json

RECORD = "models.json"
_BLOCK = 1 << 20


def bring(source: Path, target: Path, sha256: str) -> bool:
    """Copy ``source`` to ``target``; the original stays as it is.

    Returns:
        False when the same file was there already.

    Raises:
        StateError: another file has that name, or ``source`` changed meanwhile. StorageError: disk full, no permission.
    """
    if target.exists():
        if target.is_file() and sha256_file(target) == sha256:
            return False
        raise StateError(f"{target} exists and holds something else; it was not touched. Move it away first.")
    with storage_errors(target):
        remove_leftovers_of(target)
    with source.open("rb") as given, whole_file(target) as made:
        if _copy(given, made) != sha256:
            raise StateError(f"{source} was changed while it was copied; nothing was added. Run the command again.")
    return True


def _copy(given: BinaryIO, made: BinaryIO) -> str:
    digest = hashlib.sha256()
    for block in iter(lambda: given.read(_BLOCK), b""):
        digest.update(block)
        made.write(block)
    return digest.hexdigest()


def recorded(folder: Path) -> dict[str, str]:
    """File name -> sha256 it was brought with.

    Raises:
        StateError: the record is damaged.
    """
    path = folder / RECORD
    data: Any = read_json(path) if path.is_file() else {}
    if not isinstance(data, dict):
        raise StateError(f"{path}: not a record of models. Delete it; `twinloop models add` writes it again.")
    return {str(name): str(entry.get("sha256")) for name, entry in data.items() if isinstance(entry, dict)}


def record(folder: Path, name: str, sha256: str) -> None:
    """Remember what was brought, so that `verify` can tell later whether it still is that."""
    entries = {**recorded(folder), name: sha256}
    write_json(folder / RECORD, {key: {"sha256": entries[key]} for key in sorted(entries)})
