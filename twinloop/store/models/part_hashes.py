"""Hashes of the files that take the place of parts of a base model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from twinloop.store.remembered_hash import remembered_sha256

BASE_PARTS = "twinloop.base_parts"
"""In a LoRA's header: on which parts of the base model it was trained that came from files of their own."""


def hashes_of_parts(given: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Part -> sha256 of its file, hex; without those that are not there.

    Args:
        given: part and file of each.
    """
    found = ((name, Path(file).expanduser()) for name, file in given)
    return {name: remembered_sha256(path) for name, path in found if path.is_file()}


def parts_header(hashes: Mapping[str, str]) -> dict[str, str]:
    """Part -> sha256 as a LoRA's header has it; nothing where all parts came with the base."""
    return {BASE_PARTS: json.dumps(dict(hashes), sort_keys=True)} if hashes else {}


def parts_in(texts: Mapping[str, str]) -> dict[str, str]:
    """What `parts_header` wrote; {} = nothing, or nothing that can be read.

    Args:
        texts: of a LoRA's header.
    """
    try:
        found = json.loads(texts.get(BASE_PARTS, "{}"))
    except (ValueError, RecursionError):
        return {}
    return {name: str(digest) for name, digest in found.items()} if isinstance(found, dict) else {}
