"""The folder of a person's training set: called as the person is, and following when the person is called something
else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from twinloop.domain.vault import Person
from twinloop.errors import StateError
from twinloop.stages.vault.dataset.folder.owner import folders_of, owner_of
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.membership import ids_merged_into
from twinloop.stages.vault.people.record import read_people
from twinloop.store.atomic import fsync_folder, storage_errors


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
    earlier = [folder for folder in folders_of(opened.vault, ids) if folder != root]
    own = [folder for folder in earlier if owner_of(folder) == person.id]
    if root.exists() or not own:
        return PersonFolder(root, None, tuple(earlier))
    return PersonFolder(own[0], None, tuple(folder for folder in earlier if folder != own[0]))


def settled(opened: OpenVault, person: Person, output: Path | None) -> PersonFolder:
    """The folder to write to.

    One of an earlier name is moved, with all that lies in it; ``output`` of the user's own is taken as it is.

    A training set that lies here but belongs to somebody who is no longer called so is moved to that person's own place
    first.

    Raises:
        StateError: the folder holds the training set of somebody else, which cannot be moved; names the next step.
            StorageError: moving fails.
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
    """Raises StateError where `settled` would; nothing is moved."""
    _way_for(opened, person, output)


def _way_for(opened: OpenVault, person: Person, output: Path | None) -> tuple[str, Path] | None:
    """Whose training set is in the way, and where it belongs now; None = nobody's."""
    root = usual(opened, person) if output is None else output
    owner = owner_of(root)
    if owner is None or owner in _ids(opened, person):
        return None
    place = _place_of(opened, owner)
    if output is not None or place.exists():
        raise StateError(
            f"{root} holds the training set of {owner}{'' if output is not None else f', who has another in {place}'}. "
            f"Move it away, or choose another {'--output' if output is not None else 'name'}."
        )
    return owner, place


def _place_of(opened: OpenVault, owner: str) -> Path:
    """Where the training set of an id belongs: to who that is now, else to the id."""
    people = read_people(opened.vault).persons if opened.vault.people.exists() else ()
    known = next((other for other in people if owner in _ids(opened, other)), Person(owner, None, ()))
    return usual(opened, known)


def _move(folder: Path, place: Path) -> None:
    with storage_errors(place):
        folder.rename(place)
    fsync_folder(place.parent)


def _ids(opened: OpenVault, person: Person) -> frozenset[str]:
    return ids_merged_into(opened.decisions.active("merge"), person.id)
