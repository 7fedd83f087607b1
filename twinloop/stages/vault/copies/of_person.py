"""Which of a person's photos are worse copies of others, as dedup left it."""

from __future__ import annotations

from collections import defaultdict

from twinloop.domain.vault import Person
from twinloop.stages.vault.copies.record import Dropped, Duplicates, dropped, read_duplicates
from twinloop.stages.vault.copies.short_names import ShortNames
from twinloop.stages.vault.opened import OpenVault


def worse_copies(opened: OpenVault, person: Person) -> dict[str, str]:
    """sha256 -> reason, of every photo of the person that another one of the person's stands for; {} where dedup has
    not run.

    Where the photo that dedup keeps does not show the person (not recognised, on its side), the best of the person's
    own that it stands for stands for the others.
    """
    if not opened.vault.duplicates.exists():
        return {}
    duplicates = read_duplicates(opened.vault)
    mine = {key.sha256 for key in person.faces}
    found = [item for item in dropped(duplicates).values() if item.sha256 in mine]
    reasons = {item.sha256: f"{item.kind} copy: {item.reason}" for item in found if item.instead in mine}
    return reasons | _without_the_kept(duplicates, [item for item in found if item.instead not in mine])


def _without_the_kept(duplicates: Duplicates, found: list[Dropped]) -> dict[str, str]:
    """sha256 -> reason, of photos whose kept one is not the person's, except the best of each."""
    of_kept: dict[str, list[Dropped]] = defaultdict(list)
    for item in found:
        of_kept[item.instead].append(item)
    files = [file for group in duplicates.groups for file in group.files]
    names = ShortNames(file.path for file in files)
    paths = {file.sha256: file.path for file in reversed(files)}
    reasons = {}
    for alike in of_kept.values():
        best, *others = sorted(alike, key=lambda item: item.steps)  # of one group, as it is ranked
        for item in others:
            reasons[item.sha256] = (
                f"{item.kind} copy: {names.of(paths[best.sha256])} is used (this person was not recognised in"
                f" {names.of(item.path)}, the best of its group)"
            )
    return reasons
