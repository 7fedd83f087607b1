"""Hashes of the files that take the place of parts of a base model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twinloop.store.remembered_hash import remembered_sha256


def hashes_of_parts(given: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Part -> sha256 of its file, hex; without those that are not there.

    Args:
        given: part and file of each.
    """
    found = ((name, Path(file).expanduser()) for name, file in given)
    return {name: remembered_sha256(path) for name, path in found if path.is_file()}
