"""Preparing the training set of a small vault."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from tests.unit.stages.vault.makers import work_on
from tests.unit.things import Recording
from twinloop.domain.vault import Consent, Label, Person
from twinloop.stages.vault.copies.of_person import Copies
from twinloop.stages.vault.dataset.prep import Prepared, PrepOptions, prep
from twinloop.stages.vault.opened import OpenVault

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
