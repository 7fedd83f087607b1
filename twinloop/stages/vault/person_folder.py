"""The folder of a person's training set: called as the person is, and following when the person is called something else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twinloop.domain.vault import Person
from twinloop.errors import StateError
from twinloop.stages.vault.folder_owner import folders_of, owner_of
from twinloop.stages.vault.membership import ids_merged_into
from twinloop.stages.vault.opened import OpenVault
from twinloop.store.atomic import fsync_folder, storage_errors


@dataclass(frozen=True)
class PersonFolder:
    """Where the training set lies. ``was``: where it lay until now, under an earlier name; None = here. ``others``: more folders of this person."""

    root: Path
    was: Path | None = None
    others: tuple[Path, ...] = ()


def usual(opened: OpenVault, person: Person) -> Path:
    """organized/<name or id>, whether it is there or not."""
    return opened.vault.person(person.name or person.id)


def found(opened: OpenVault, person: Person) -> PersonFolder:
    """The folder as it lies now: of the usual name, else of an earlier one; nothing is moved."""
    root, ids = usual(opened, person), _ids(opened, person)
    earlier = [folder for folder in folders_of(opened.vault, ids) if folder != root]
    own = [folder for folder in earlier if owner_of(folder) == person.id]
    if root.exists() or not own:
        return PersonFolder(root, None, tuple(earlier))
    return PersonFolder(own[0], None, tuple(folder for folder in earlier if folder != own[0]))


def settled(opened: OpenVault, person: Person, output: Path | None) -> PersonFolder:
    """The folder to write to. One of an earlier name is moved, with all that lies in it; ``output`` of the user's own is taken as it is.

    Raises:
        StateError: the folder holds the training set of somebody else; names the next step. StorageError: it cannot be moved.
    """
    root = usual(opened, person) if output is None else output
    owner = owner_of(root)
    if owner is not None and owner not in _ids(opened, person):
        raise StateError(
            f"{root} holds the training set of {owner}. If {owner} is called otherwise now, `{opened.vault.command(f'prep {owner}')}` moves it; "
            "else move it away, or choose another --output."
        )
    if output is not None:
        return PersonFolder(root)
    now = found(opened, person)
    if now.root == root:
        return now
    with storage_errors(root):
        now.root.rename(root)
    fsync_folder(root.parent)
    return PersonFolder(root, now.root, now.others)


def _ids(opened: OpenVault, person: Person) -> frozenset[str]:
    return ids_merged_into(opened.decisions.active("merge"), person.id)
