"""Which photos of a vault lie in the folders that a command names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twinloop.domain.vault import Person
from twinloop.domain.wording import some
from twinloop.stages.vault.opened import OpenVault
from twinloop.store.vault.faces import face_entries


@dataclass(frozen=True)
class LookedAt:
    """Photos at or below some paths.

    Attributes:
        named: the paths, for messages. contents: sha256 of the photos there that show a face. below: of all photos.
    """

    named: str
    contents: frozenset[str]
    below: frozenset[str]

    @classmethod
    def of(cls, opened: OpenVault, folders: Sequence[Path]) -> LookedAt:
        """Those of the folders; () = of the whole vault."""
        roots = [Path(os.path.abspath(folder)) for folder in folders or opened.record.folders]
        below = opened.catalog.files.contents_below(roots)
        faces = {entry.key.sha256 for entry in face_entries(opened.catalog, opened.fingerprint)}
        return cls(some([str(folder) for folder in folders or opened.record.folders]), below & faces, below)

    def photos(self, person: Person) -> int:
        """How many of these photos show the person, also without a face that was found."""
        return len({key.sha256 for key in person.faces} & self.below)
