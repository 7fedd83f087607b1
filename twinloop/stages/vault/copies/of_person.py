"""Which of a person's photos are copies of others, as dedup left it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from twinloop.domain.vault import Person
from twinloop.stages.vault.copies.record import Dropped, Duplicates, dropped, last_duplicates, read_duplicates
from twinloop.stages.vault.copies.short_names import ShortNames
from twinloop.stages.vault.opened import OpenVault
from twinloop.store.vault.folder import Vault

Alike = Mapping[str, tuple[str, ...]]
"""sha256 of a photo -> all copies of that picture with itself, the best first; repetitions of a burst are none."""


@dataclass(frozen=True)
class Copies:
    """Copies among a person's photos, all as sha256.

    Attributes:
        worse: photo -> reason, of every photo that another one of the person's stands for. behind: photo that stands
            for others -> those, the best first. alike: copies of one picture, whether the person is known on all of
            them or not.
    """

    worse: Mapping[str, str] = field(default_factory=dict)
    behind: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    alike: Alike = field(default_factory=dict)


def copies_of(opened: OpenVault, person: Person) -> Copies:
    """The copies among a person's photos; none where dedup has not run.

    Where the photo that dedup keeps does not show the person (not recognised, on its side), the best of the person's
    own that it stands for stands for the others.
    """
    if not opened.vault.duplicates.exists():
        return Copies()
    duplicates = read_duplicates(opened.vault)
    mine = {key.sha256 for key in person.faces}
    found = [item for item in dropped(duplicates).values() if item.sha256 in mine]
    reasons = {item.sha256: f"{item.kind} copy: {item.reason}" for item in found if item.instead in mine}
    behind = {kept: _ranked(items) for kept, items in _by_kept(found).items()}
    worse = reasons | _without_the_kept(duplicates, [item for item in found if item.instead not in mine])
    for kept in behind.keys() - mine:
        best, *others = behind.pop(kept)
        behind[best] = tuple(others)
    return Copies(worse, behind, _alike(duplicates))


def alike_in(vault: Vault) -> Alike:
    """Copies of one picture; none where dedup has not run, or its record is damaged."""
    duplicates = last_duplicates(vault)
    return {} if duplicates is None else _alike(duplicates)


def _alike(duplicates: Duplicates) -> Alike:
    found: dict[str, tuple[str, ...]] = {}
    for group in duplicates.of_kind("near"):
        members = tuple(dict.fromkeys(file.sha256 for file in group.files))
        found.update(dict.fromkeys(members, members))
    return found


def _by_kept(found: Iterable[Dropped]) -> dict[str, list[Dropped]]:
    of_kept: dict[str, list[Dropped]] = defaultdict(list)
    for item in found:
        of_kept[item.instead].append(item)
    return of_kept


def _ranked(alike: Iterable[Dropped]) -> tuple[str, ...]:
    """Best first: groups are ranked, and what lies nearer to the kept one is the better."""
    return tuple(item.sha256 for item in sorted(alike, key=lambda item: item.steps))


def _without_the_kept(duplicates: Duplicates, found: list[Dropped]) -> dict[str, str]:
    """sha256 -> reason, of photos whose kept one is not the person's, except the best of each."""
    files = [file for group in duplicates.groups for file in group.files]
    names = ShortNames(file.path for file in files)
    paths = {file.sha256: file.path for file in reversed(files)}
    reasons = {}
    for items in _by_kept(found).values():
        best, *others = _ranked(items)
        for sha256 in others:
            item = next(item for item in items if item.sha256 == sha256)
            reasons[sha256] = (
                f"{item.kind} copy: {names.of(paths[best])} is used (this person was not recognised in"
                f" {names.of(item.path)}, the best of its group)"
            )
    return reasons
