"""What the user says of duplicates: keep this one of its group, these are none.

Both are decisions, and can be undone.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path

from twinloop.domain.vault import Decision
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.vault.copies.record import DuplicateFile, Duplicates
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.photo_named import photo_named
from twinloop.store.vault.decisions import DecisionLog

KINDS = ("keep", "distinct")


def chosen(decisions: DecisionLog) -> dict[str, int]:
    """sha256 of photos that the user wanted to keep -> number of the latest decision that says so."""
    said: dict[str, int] = {}
    for made in decisions.active("keep"):
        said.update(dict.fromkeys(decisions.same_shot.of(str(made.data["sha256"])), made.number))
    return said


def apart(decisions: DecisionLog) -> Mapping[str, frozenset[str]]:
    """sha256 -> the photos of which the user said that they are no duplicates of it."""
    found: dict[str, set[str]] = defaultdict(set)
    for made in decisions.active("distinct"):
        for one, other in permutations(map(decisions.same_shot.of, made.data["photos"]), 2):
            for sha256 in one:
                found[sha256] |= other
    return {sha256: frozenset(others) for sha256, others in found.items()}


def keep(opened: OpenVault, duplicates: Duplicates, file: Path) -> Decision:
    """Keep this photo of its group, instead of the one that is kept now.

    The groups follow when they are searched again.

    Raises:
        InputError: as `photo_named`. NothingToDo: it is kept as it is.
    """
    found = list(_entries(duplicates))
    named = photo_named(opened, file, {entry.sha256 for entry in found})
    entries = [entry for entry in found if entry.sha256 == named.sha256]
    instead = next((entry.instead for entry in entries if entry.instead not in (None, named.sha256)), None)
    if instead is None:
        raise NothingToDo(_kept_already(named.path, entries))
    return opened.decisions.add("keep", {"sha256": named.sha256, "instead_of": instead})


def distinct(opened: OpenVault, files: Sequence[Path]) -> Decision:
    """These photos are no duplicates of each other. The groups follow when they are searched again.

    Raises:
        InputError: fewer than two, files of the same bytes, or as `photo_named`.
    """
    contents: dict[str, Path] = {}
    for file in files:
        named = photo_named(opened, file)
        if contents.get(named.sha256, named.path) != named.path:
            raise InputError(f"{file} and {contents[named.sha256]} have the same bytes: they are one photo.")
        contents[named.sha256] = named.path
    if len(contents) < 2:
        raise InputError("Name at least two different photos that are no duplicates of each other.")
    return opened.decisions.add("distinct", {"photos": sorted(contents)})


def _entries(duplicates: Duplicates) -> Iterator[DuplicateFile]:
    return (entry for group in duplicates.groups for entry in group.files)


def _kept_already(file: Path, entries: Sequence[DuplicateFile]) -> str:
    if not entries:
        return f"{file} is in no group of duplicates; it is kept as it is."
    if all(entry.instead == entry.sha256 or entry.kept for entry in entries) and not any(
        entry.kept and entry.path == os.fspath(file) for entry in entries
    ):
        return f"{file} has the same bytes as a file that is kept: either serves, and nothing is deleted."
    return f"{file} is kept already."
