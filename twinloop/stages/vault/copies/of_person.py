"""Which of a person's photos are worse copies of others, as dedup left it."""

from __future__ import annotations

from twinloop.domain.vault import Person
from twinloop.stages.vault.copies.record import dropped, read_duplicates
from twinloop.stages.vault.opened import OpenVault


def worse_copies(opened: OpenVault, person: Person) -> dict[str, str]:
    """sha256 -> reason, of every photo of the person that another one of the person's stands for; {} where dedup has
    not run.

    A photo whose better copy does not show the person (turned away, not recognised) is no copy here.
    """
    if not opened.vault.duplicates.exists():
        return {}
    mine = {key.sha256 for key in person.faces}
    found = dropped(read_duplicates(opened.vault))
    return {
        sha256: f"{item.kind} copy: {item.reason}"
        for sha256, item in found.items()
        if sha256 in mine and item.instead in mine
    }
