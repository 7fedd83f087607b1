"""Which photo the user means by a path, or by a file's name that only one photo has."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from twinloop.errors import InputError
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.second_names import file_called


@dataclass(frozen=True)
class NamedPhoto:
    """A file of the catalogue and the sha256 of what it holds."""

    path: Path
    sha256: str


def photo_named(opened: OpenVault, file: Path, among: Collection[str] = ()) -> NamedPhoto:
    """The photo that is meant: the one at that path, else the one that is called so.

    Args:
        among: sha256 of the photos that are meant first where several are called so; () = none.

    Raises:
        InputError: no photo, or several, are called so; or the scan could not read it.
    """
    known = file_called(opened, file)
    if known is not None:
        if known.sha256 is None or known.problem:
            raise InputError(f"{file} was skipped by the scan: it {known.problem}")
        return NamedPhoto(known.path, known.sha256)
    # only a bare name: a path that is not known is a mistake, not a name
    found = opened.catalog.files.called(os.fspath(file)) if file.name == os.fspath(file) else []
    called = [NamedPhoto(path, sha256) for path, sha256 in found]
    called = [entry for entry in called if entry.sha256 in among] or called
    photos = {entry.sha256 for entry in called}
    if len(photos) != 1:
        raise InputError(
            f"{file} is {'not a photo of this vault' if not photos else f'the name of {len(photos)} photos'}. Name a"
            " photo by its path."
        )
    return called[0]
