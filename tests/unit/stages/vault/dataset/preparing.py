"""Preparing the training set of a small vault."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from tests.unit.stages.vault.makers import work_on
from tests.unit.things import Recording
from twinloop.domain.vault import Consent, Label, Person
from twinloop.stages.vault.copies.of_person import Copies
from twinloop.stages.vault.dataset.prep import Prepared, PrepOptions, prep
from twinloop.stages.vault.opened import OpenVault
from twinloop.store.vault.listing import Listing

LABEL = Label("p001", "ohwx alice", "woman", Consent("self", "alice", "2024-05-06", "training"))


def prepare(
    opened: OpenVault, person: Person, copies: Copies | None = None, size: int = 256, **options: Any
) -> Prepared:
    return prep(opened, work_on(opened, person, LABEL, size, copies), PrepOptions(**options), Recording())


def tree(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def lose(opened: OpenVault, person: Person, home: Path, name: str) -> Person:
    """The photo goes, and the next scan and clustering know of it."""
    (home / "photos" / name).unlink()
    Listing(opened.catalog).forget_folder(home / "photos" / name, ())
    there = [key for key in person.faces if opened.catalog.photo(key.sha256, "test") is not None]
    return dataclasses.replace(person, faces=tuple(there))
