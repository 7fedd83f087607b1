"""Forget everybody: remove all that a vault holds. Photos themselves are never touched."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from twinloop.errors import StorageError
from twinloop.stages.vault.dataset.folder.outside import folders_gone, folders_outside
from twinloop.stages.vault.dataset.folder.own_files import (
    OwnFiles,
    holds_masks,
    is_prepared,
    mask_folders,
    remove_empty,
)
from twinloop.stages.vault.forget.observed import forget_observations, notes_on_runs, observations, pictures_in
from twinloop.stages.vault.forget.promise import Forgotten, notes_on_gone
from twinloop.stages.vault.forget.removing import remove, with_journals
from twinloop.store.atomic import denied_within, is_leftover, remove_leftovers
from twinloop.store.lock import VAULT, locked
from twinloop.store.pictures.masks import masks_beside
from twinloop.store.progress import progress_cleared
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.folder import Vault
from twinloop.store.vault.forget import all_contents


def forget_everything(vault: Vault, really: bool) -> Forgotten:
    """Remove all that the vault holds: what was measured, decided and prepared.

    Other files in its folder and in training sets stay.

    Raises:
        Locked: another process works in it.
    """
    if not really or not _holds_something(vault):
        return _Everything.of(vault).told(done=really)
    with denied_within(vault.root, VAULT.instead), locked(vault.root, VAULT), progress_cleared(vault.root):
        remove_leftovers(vault.root)  # half-written pictures of a preparation that was killed
        found = _Everything.of(vault)
        forget_observations(vault, found.contents)
        found.remove()
    return found.told(done=True)


@dataclass(frozen=True)
class _Everything:
    """What lies in a vault.

    Attributes:
        prepared: training sets. masks: folders of masks whose training set is gone. by_hand: other things between them.
        files: what the vault keeps beside them.
        contents: sha256 of every photo and every prepared picture. observed, notes: as `Forgotten` has them.
    """

    organized: Path
    prepared: tuple[OwnFiles, ...]
    masks: tuple[OwnFiles, ...]
    by_hand: tuple[Path, ...]
    files: tuple[Path, ...]
    contents: frozenset[str]
    observed: int
    notes: tuple[str, ...]

    @classmethod
    def of(cls, vault: Vault) -> _Everything:
        organized = vault.root / "organized"
        folders = sorted(path for path in organized.glob("*") if not is_leftover(path))
        inside = [folder for folder in folders if is_prepared(folder)]
        prepared = tuple(OwnFiles.of(folder) for folder in (*inside, *folders_outside(vault)))
        own = [one.folder for one in prepared]
        masks = _lone_masks(organized, own)
        known = {one.folder for one in masks}
        by_hand = tuple(
            folder for folder in folders if not (folder in known or is_prepared(folder) or holds_masks(folder))
        )
        contents = _photos(vault) | pictures_in(vault, own)
        return cls(
            organized,
            prepared,
            masks,
            by_hand,
            tuple(_own_files(vault)),
            contents,
            observations(vault, contents),
            (*notes_on_runs(vault, contents, own), *notes_on_gone(folders_gone(vault))),
        )

    def remove(self) -> None:
        for own in (*self.prepared, *self.masks):
            own.remove()
        remove(list(self.files))
        remove_empty(self.organized)

    def told(self, done: bool) -> Forgotten:
        others = [path for own in (*self.prepared, *self.masks) for path in own.others if not is_leftover(path)]
        folders = [place for own in (*self.prepared, *self.masks) for place in own.places]
        return Forgotten(
            "everything",
            0,
            0,
            (*folders, *self.files),
            done=done,
            kept=(*others, *self.by_hand),
            notes=(*self.notes, *Forgotten.notes),
            observed=self.observed,
        )


def _holds_something(vault: Vault) -> bool:
    """Whether anything of a vault is there: in a folder that is none, nothing is made, not even a lock."""
    organized = vault.root / "organized"
    return bool(_own_files(vault) or _lone_masks(organized, ())) or any(map(is_prepared, organized.glob("*")))


def _lone_masks(organized: Path, prepared: Collection[Path]) -> tuple[OwnFiles, ...]:
    """Folders of masks that were made here, beside none of these training sets."""
    beside = {masks_beside(folder) for folder in prepared}
    found = (OwnFiles.of_masks(folder) for folder in mask_folders(organized) if folder not in beside)
    return tuple(own for own in found if own.ours)


def _photos(vault: Vault) -> frozenset[str]:
    """sha256 of every photo; none where there is no catalogue, or a damaged one, which goes in any case."""
    if vault.catalog.is_file():
        with contextlib.suppress(StorageError), VaultCatalog(vault.catalog, reading=True, any_version=True) as catalog:
            return all_contents(catalog)
    return frozenset()


def _own_files(vault: Vault) -> list[Path]:
    """What the vault keeps beside training sets and is there: no user puts anything of his own under these names."""
    databases = [path for made in (vault.catalog, vault.crops, vault.likeness) for path in with_journals(made)]
    records = [vault.people, vault.duplicates, vault.scan_record, vault.decisions, vault.same_shot, vault.identity]
    return [path for path in (*databases, *records, vault.root / "captions", vault.root / "gaps") if path.exists()]
