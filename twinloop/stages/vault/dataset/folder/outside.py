"""Training sets of a vault that lie outside of it, in folders of the user's choice."""

from __future__ import annotations

import os
from collections.abc import Set
from pathlib import Path

from twinloop.stages.vault.dataset.folder.own_files import is_prepared
from twinloop.stages.vault.dataset.folder.owner import owner_in
from twinloop.store.vault.folder import Vault
from twinloop.store.vault.vault_id import sets_outside, vault_id


def folders_outside(vault: Vault, ids: Set[str] | None = None) -> tuple[Path, ...]:
    """Folders outside of the vault that hold a training set of one of these people (None = of anybody), or the
    beginning of one. What is somebody else's by now, or another vault's, is not among them.
    """
    known = vault_id(vault)
    found = []
    for person, folder in sets_outside(vault):
        owner = owner_in(folder)
        of_whom, where = (person, known) if owner is None else (owner.id, owner.vault)
        if is_prepared(folder) and where == known and (ids is None or of_whom in ids) and not _is_below(folder, vault):
            found.append(folder)
    return tuple(found)


def folders_gone(vault: Vault, ids: Set[str] | None = None) -> tuple[Path, ...]:
    """Folders outside of the vault into which training sets of these people were written, and that are not there."""
    return tuple(
        folder
        for person, folder in sets_outside(vault)
        if (ids is None or person in ids) and not folder.exists() and not _is_below(folder, vault)
    )


def _is_below(folder: Path, vault: Vault) -> bool:
    """Whether a folder lies where training sets of a vault usually do, and is found there."""
    return Path(os.path.realpath(folder)).parent == Path(os.path.realpath(vault.root), "organized")
