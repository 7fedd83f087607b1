"""The folder of a person's training set: called as the person is, and following when the person is called something
else.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from twinloop.domain.names import composed, folded
from twinloop.domain.vault import Person
from twinloop.errors import StateError
from twinloop.stages.vault.dataset.folder.apart import check_apart
from twinloop.stages.vault.dataset.folder.own_files import holds_masks
from twinloop.stages.vault.dataset.folder.owner import Owner, folders_of, owner_in, owner_of
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.membership import ids_merged_into
from twinloop.stages.vault.people.record import read_people
from twinloop.stages.vault.second_names import identity
from twinloop.store.atomic import fsync_folder, storage_errors
from twinloop.store.pictures.masks import masks_beside
from twinloop.store.vault.folder import Vault
from twinloop.store.vault.vault_id import vault_id
from twinloop.system.files import rename_over


@dataclass(frozen=True)
class PersonFolder:
    """Where the training set lies.

    Attributes:
        was: where it lay until now, under an earlier name; None = here. others: more folders of this person.
        made_way: (owner, new place) of a training set that lay here, of somebody who is no longer called so; None =
            there was none.
    """

    root: Path
    was: Path | None = None
    others: tuple[Path, ...] = ()
    made_way: tuple[str, Path] | None = None


def usual(opened: OpenVault, person: Person) -> Path:
    """organized/<name or id>, whether it is there or not."""
    return opened.vault.person(person.folder_name)


def found(opened: OpenVault, person: Person) -> PersonFolder:
    """The folder as it lies now: of the usual name, else of an earlier one; nothing is moved."""
    root, ids = usual(opened, person), _ids(opened, person)
    folders = folders_of(opened.vault, ids)
    here = [folder for folder in folders if identity(folder) == identity(root)]
    earlier = [folder for folder in folders if folder not in here]
    own = [folder for folder in earlier if owner_of(folder) == person.id]
    if root.exists() or not own:
        return PersonFolder(_listed(root, here), None, tuple(earlier))
    return PersonFolder(own[0], None, tuple(folder for folder in earlier if folder != own[0]))


def _listed(root: Path, names: Sequence[Path]) -> Path:
    """A folder as the disk lists it. Where case makes no difference, one of an earlier name may be there under the new
    one, too.

    Args:
        names: all that the folder is called.
    """
    if root.name in {composed(path.name) for path in names}:
        return root
    return next((path for path in names if folded(path.name) == folded(root.name)), root)


def settled(opened: OpenVault, person: Person, output: Path | None) -> PersonFolder:
    """The folder to write to.

    One of an earlier name is moved, with all that lies in it; ``output`` of the user's own is taken as it is.

    A training set that lies here but belongs to somebody who is no longer called so is moved to that person's own place
    first.

    Raises:
        InputError: ``output`` lies among the photos. StateError: the folder holds the training set of somebody else,
            which cannot be moved; names the next step. StorageError: moving fails.
    """
    root = usual(opened, person) if output is None else output
    made_way = _way_for(opened, person, output)
    if made_way is not None:
        _move(root, made_way[1])
    if output is not None:
        return PersonFolder(root)
    now = found(opened, person)
    if now.root == root:
        return replace(now, made_way=made_way)
    _move(now.root, root)
    return PersonFolder(root, now.root, now.others, made_way)


def check(opened: OpenVault, person: Person, output: Path | None) -> None:
    """Raises what `settled` would; nothing is moved."""
    _way_for(opened, person, output)


def _way_for(opened: OpenVault, person: Person, output: Path | None) -> tuple[str, Path] | None:
    """Whose training set is in the way, and where it belongs now; None = nobody's."""
    if output is not None:
        _check_output(opened, person, output)
        return None
    root = usual(opened, person)
    owner = owner_of(root)
    if owner is None or owner in _ids(opened, person):
        return None
    place = _place_of(opened, owner)
    if identity(place) == identity(root):
        raise StateError(
            f"{root} holds the training set of {owner}, of whose name it is the folder, too. Give one of the two"
            f" another name: {opened.vault.command(f'name {person.id} NAME')}"
        )
    if place.exists():
        raise StateError(
            f"{root} holds the training set of {owner}, who has another in {place}. Move it away, or choose another"
            " name."
        )
    return owner, place


def _check_output(opened: OpenVault, person: Person, output: Path) -> None:
    """Raises an error for a folder of the user's choice that this person's training set must not go into."""
    check_apart(opened.vault, opened.record.folders, output)
    owner = owner_in(output)
    if owner is None:
        return
    elsewhere = owner.vault != vault_id(opened.vault) if owner.vault else _in_another_vault(opened, output)
    if elsewhere or not _is_of(opened, person, owner):
        where = ", made in another vault" if elsewhere else ""
        raise StateError(
            f"{output} holds the training set of {owner.called}{where}. Move it away, or choose another --output."
        )


def _in_another_vault(opened: OpenVault, output: Path) -> bool:
    """Whether a folder is the usual one of somebody in another vault."""
    home = Path(os.path.realpath(output)).parent.parent
    return Vault(home).scan_record.exists() and home != Path(os.path.realpath(opened.vault.root))


def _is_of(opened: OpenVault, person: Person, owner: Owner) -> bool:
    """Whether a training set is this person's, whatever the person was called when it was made.

    Of one that does not say in which vault, the name must be one that the person has or had.
    """
    ids = _ids(opened, person)
    if owner.id not in ids:
        return False
    if owner.vault:
        return True
    said = (made.data for made in opened.decisions.all() if made.kind == "name")
    return owner.name in ("", person.name, *(data["name"] for data in said if data["person"] in ids))


def _place_of(opened: OpenVault, owner: str) -> Path:
    """Where the training set of an id belongs: to who that is now, else to the id."""
    people = read_people(opened.vault).persons if opened.vault.people.exists() else ()
    known = next((other for other in people if owner in _ids(opened, other)), Person(owner, None, ()))
    return usual(opened, known)


def _move(folder: Path, place: Path) -> None:
    """Move a training set, and its masks first: killed in between, the set is found by what it says of itself.

    Masks stay where others lie at the new place.
    """
    masks, theirs = masks_beside(folder), masks_beside(place)
    with storage_errors(folder):
        if masks.is_dir() and holds_masks(masks) and not theirs.exists():
            rename_over(masks, theirs)
        rename_over(folder, place)
    fsync_folder(place.parent)


def _ids(opened: OpenVault, person: Person) -> frozenset[str]:
    return ids_merged_into(opened.decisions.active("merge"), person.id)
