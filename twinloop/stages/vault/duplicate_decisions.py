"""What the user says of duplicates: keep this one of its group, these are none. Both are decisions, and can be undone."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path

from twinloop.domain.vault import Decision
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.vault.duplicates import DuplicateFile, Duplicates
from twinloop.stages.vault.opened import OpenVault
from twinloop.store.decisions import DecisionLog

KINDS = ("keep", "distinct")


def chosen(decisions: DecisionLog) -> dict[str, int]:
    """sha256 of photos that the user wanted to keep -> number of the latest decision that says so."""
    return {str(made.data["sha256"]): made.number for made in decisions.active("keep")}


def apart(decisions: DecisionLog) -> Mapping[str, frozenset[str]]:
    """sha256 -> the photos of which the user said that they are no duplicates of it."""
    found: dict[str, set[str]] = defaultdict(set)
    for made in decisions.active("distinct"):
        for one, other in permutations(made.data["photos"], 2):
            found[one].add(other)
    return {sha256: frozenset(others) for sha256, others in found.items()}


def keep(opened: OpenVault, duplicates: Duplicates, file: Path) -> Decision:
    """Keep this photo of its group, instead of the one that is kept now. The groups follow when they are searched again.

    Raises:
        InputError: no such file in the catalogue. NothingToDo: it is kept as it is.
    """
    sha256 = content_of(opened, file)
    entries = [entry for entry in _entries(duplicates) if entry.sha256 == sha256]
    instead = next((entry.instead for entry in entries if entry.instead not in (None, sha256)), None)
    if instead is None:
        raise NothingToDo(_kept_already(file, entries))
    return opened.decisions.add("keep", {"sha256": sha256, "instead_of": instead})


def distinct(opened: OpenVault, files: Sequence[Path]) -> Decision:
    """These photos are no duplicates of each other. The groups follow when they are searched again.

    Raises:
        InputError: fewer than two, files that are not in the catalogue, or files of the same bytes.
    """
    contents: dict[str, Path] = {}
    for file in files:
        sha256 = content_of(opened, file)
        if sha256 in contents and os.path.abspath(contents[sha256]) != os.path.abspath(file):
            raise InputError(f"{file} and {contents[sha256]} have the same bytes: they are one photo.")
        contents[sha256] = file
    if len(contents) < 2:
        raise InputError("Name at least two different photos that are no duplicates of each other.")
    return opened.decisions.add("distinct", {"photos": sorted(contents)})


def content_of(opened: OpenVault, file: Path) -> str:
    """sha256 of a file that was scanned, as the catalogue has it.

    Raises:
        InputError: the catalogue does not know the file, or could not read it.
    """
    entry = opened.catalog.file(file)
    if entry is None:
        raise InputError(
            f"{file} is not in the catalogue. `{opened.vault.command('duplicates')}` lists the files of every group."
        )
    if entry.sha256 is None:
        raise InputError(f"{file} was skipped by the scan: it {entry.problem}")
    return entry.sha256


def _entries(duplicates: Duplicates) -> Iterator[DuplicateFile]:
    return (entry for group in duplicates.groups for entry in group.files)


def _kept_already(file: Path, entries: Sequence[DuplicateFile]) -> str:
    if not entries:
        return f"{file} is in no group of duplicates; it is kept as it is."
    if all(entry.instead == entry.sha256 or entry.kept for entry in entries) and not any(
        entry.kept and entry.path == os.path.abspath(file) for entry in entries
    ):
        return f"{file} has the same bytes as a file that is kept: either serves, and nothing is deleted."
    return f"{file} is kept already."
