"""What other commands saw in a person's pictures: the catalogue that they share, which forgets it, and runs, which are
named with what to delete.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

from twinloop.errors import StateError, StorageError
from twinloop.stages.vault.dataset.folder.own_files import written
from twinloop.stages.vault.forget.removing import with_journals
from twinloop.store.atomic import read_object
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import Workspace, shown_path
from twinloop.store.vault.folder import COMMON_CATALOG, OUTPUTS, Vault
from twinloop.system import shell


def pictures_in(vault: Vault, folders: Iterable[Path]) -> frozenset[str]:
    """sha256 of the pictures of training sets: as they were written, and as another command saw them there."""
    wanted = list(folders)
    found = {digest for folder in wanted for _, digest, _ in written(folder)}
    for catalog in _catalogues(vault):
        found |= catalog.contents_below(wanted)
    return frozenset(found)


def observations(vault: Vault, contents: Set[str]) -> int:
    """Of how many of these pictures a shared catalogue knows something."""
    seen: set[str] = set()
    for catalog in _catalogues(vault):
        seen |= catalog.observed(contents)
    return len(seen)


def forget_observations(vault: Vault, contents: Set[str]) -> None:
    """Take these pictures out of the shared catalogues for good.

    Raises:
        StorageError: one cannot be written, or another program reads what is to go.
    """
    for catalog in _catalogues(vault):
        catalog.forget(contents)


def notes_on_runs(vault: Vault, contents: Set[str], folders: Iterable[Path]) -> tuple[str, ...]:
    """A line for each run that was made with these pictures, or with one of these folders, and still holds what it saw
    in them.
    """
    places = frozenset(os.path.realpath(folder) for folder in folders)
    return tuple(
        f"The run {shown_path(space.root)} was made with these pictures and keeps what it saw of the faces. To delete"
        f" that: rm {shell.join(map(shown_path, files))}"
        for space in _runs(vault)
        if (files := _holding(space)) and (_is_of(space, contents) or _is_made_from(space, places))
    )


def _outputs(vault: Vault) -> list[str]:
    """The folders of outputs that belong to a vault: that of the working directory, and the one it lies in."""
    around = Path(os.path.realpath(vault.root)).parent
    return list(dict.fromkeys([os.path.realpath(OUTPUTS), *([str(around)] if around.name == OUTPUTS.name else [])]))


def _catalogues(vault: Vault) -> Iterator[Catalog]:
    """The shared catalogues, one after the other; a database of that name that is none is left alone."""
    found = [Path(folder, COMMON_CATALOG.name) for folder in _outputs(vault)]
    for path in found:
        if path.is_file() and path != Path(os.path.realpath(vault.catalog)):
            try:
                catalog = Catalog(path)
            except StateError:
                continue
            with catalog:
                yield catalog


def _runs(vault: Vault) -> Iterator[Workspace]:
    for folder in _outputs(vault):
        for record in sorted(Path(folder).glob("**/run.json")):
            yield Workspace(record.parent, record.parent)


def _holding(space: Workspace) -> list[Path]:
    """The files of a run that hold identity vectors and are there."""
    return [path for path in (*with_journals(space.catalog), space.identity) if path.is_file()]


def _is_of(space: Workspace, contents: Set[str]) -> bool:
    """Whether a run saw one of these pictures."""
    members = read_object(space.dataset(0)).get("members")
    listed = {member.get("sha256") for member in members if isinstance(member, dict)} if members else set()
    if listed & contents or not space.catalog.is_file():
        return bool(listed & contents)
    with contextlib.suppress(StateError, StorageError), Catalog(space.catalog, reading=True) as catalog:
        return bool(catalog.observed(contents))
    return False


def _is_made_from(space: Workspace, places: Set[str]) -> bool:
    """Whether a run was begun with the photos of one of these folders, wherever it was begun from."""
    settings = read_object(space.run_record).get("settings")
    named = settings.get("dataset_dir") if isinstance(settings, dict) else None
    if not isinstance(named, str):
        return False
    return any(os.path.realpath(parent / named) in places for parent in (Path(), *space.root.parents))
