"""Where a training set went whose person got another name: `prep` moves its folder, and who named it finds nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from twinloop.domain.names import share_folder
from twinloop.domain.vault import Decision
from twinloop.errors import StateError, StorageError
from twinloop.store.atomic import read_object
from twinloop.store.pictures.sidecar import PERSON
from twinloop.store.vault.decisions import DecisionLog
from twinloop.store.vault.folder import Vault


def new_place(folder: Path) -> Path | None:
    """Where the training set lies now that was in ``folder``, or in the folder above it (kohya's), before its person
    got another name; None = the folder is there, never held one, or nobody knows.
    """
    for place in (folder, folder.parent):
        if place.parent.name == "organized" and not place.exists():
            moved = _moved(Vault(place.parent.parent), place)
            inside = None if moved is None else moved / folder.relative_to(place)
            return inside if inside is None or inside.is_dir() else moved
    return None


def _moved(vault: Vault, place: Path) -> Path | None:
    try:
        said = DecisionLog(vault.decisions, reading=True).all() if vault.decisions.is_file() else []
    except (StateError, StorageError, OSError):
        return None  # damaged: every command of the vault says so
    folders = {_owner(path): path for path in sorted(place.parent.iterdir())} if place.parent.is_dir() else {}
    for person in _called(said, place.name):
        if found := next((folders[one] for one in (*_merged_into(said, person), person) if one in folders), None):
            return found
    return None


def _called(said: list[Decision], name: str) -> Iterator[str]:
    """Ids of the people who had a name, those first who got it last; then the id that it is."""
    names = [made for made in said if made.kind == "name" and share_folder(str(made.data["name"]), name)]
    yield from dict.fromkeys(str(made.data["person"]) for made in reversed(names))
    yield name


def _merged_into(said: list[Decision], person: str) -> list[str]:
    """Whom a person was made one with since, the last one first."""
    found = [person]
    for made in said:
        if made.kind == "merge" and not made.undone and found[-1] in made.data["people"]:
            found.append(str(made.data["into"]))
    return found[:0:-1]


def _owner(folder: Path) -> str:
    """Whose training set a folder holds; "" = nobody's."""
    record = folder / PERSON
    return str(read_object(record).get("person", "")) if record.is_file() else ""
