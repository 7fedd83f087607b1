"""Groups of duplicates as dedup left them: what is kept, what is dropped for what, and why. Nothing is ever deleted."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from twinloop.errors import NothingToDo, StateError
from twinloop.stages.vault.copies.short_names import ShortNames
from twinloop.store.atomic import read_as
from twinloop.store.vault.folder import Vault


@dataclass(frozen=True)
class DuplicateFile:
    """One file of a group.

    Attributes:
        instead: sha256 of the photo that stands for this one; None where it is kept. reason: why it is kept or dropped.
        score: what the ranking looked at, as `ranking.score` gives it.
    """

    path: str
    sha256: str
    kept: bool
    instead: str | None
    reason: str
    score: Mapping[str, Any]


@dataclass(frozen=True)
class DuplicateGroup:
    """Files that show one thing.

    ``exact``: the same bytes; ``near``: the same picture; ``burst``: one moment, some of it kept more than once.

    Attributes:
        files: the best first; it is kept, and every other one is like it.
    """

    kind: str
    reason: str
    files: tuple[DuplicateFile, ...]

    @property
    def dropped(self) -> frozenset[str]:
        """sha256 of the photos that another one stands for; files of the same bytes are one photo."""
        return frozenset(file.sha256 for file in self.files if file.instead not in (None, file.sha256))

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "files": [dict(vars(file)) for file in self.files]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DuplicateGroup:
        return cls(data["kind"], data["reason"], tuple(DuplicateFile(**file) for file in data["files"]))


@dataclass(frozen=True)
class Dropped:
    """A photo that another one stands for.

    ``instead``: sha256 of the one that is kept in the end, ``path``: its file. ``steps``: how many photos on the way
    there, that one included.
    """

    sha256: str
    instead: str
    path: str
    kind: str
    reason: str
    steps: int = 1


@dataclass(frozen=True)
class Duplicates:
    """The outcome of a search.

    Attributes:
        photos, files: how many were searched (contents, files). without_thumbnail, flat: contents that could only be
            compared byte by byte.
        inputs: fingerprint of the photos and decisions that this follows from.
    """

    groups: tuple[DuplicateGroup, ...]
    distance: int
    burst_seconds: float
    photos: int
    files: int
    without_thumbnail: int = 0
    flat: int = 0
    inputs: str = ""

    def of_kind(self, kind: str) -> list[DuplicateGroup]:
        return [group for group in self.groups if group.kind == kind]

    @property
    def kept(self) -> int:
        """Photos left when every dropped one is left out."""
        return self.photos - len(dropped(self))

    def to_json(self) -> dict[str, Any]:
        numbers = {name: value for name, value in vars(self).items() if name != "groups"}
        return {**numbers, "groups": [group.to_json() for group in self.groups]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Duplicates:
        return cls(**{**data, "groups": tuple(DuplicateGroup.from_json(group) for group in data["groups"])})


def read_duplicates(vault: Vault) -> Duplicates:
    """What the last search found.

    Raises:
        NothingToDo: there was none yet. StateError: the file is damaged; `dedup` writes it anew.
    """
    if not vault.duplicates.exists():
        raise NothingToDo(f"Nobody has looked for duplicates yet. Do it with: {vault.command('dedup')}")
    return read_as(vault.duplicates, Duplicates.from_json, f"Write it anew with: {vault.command('dedup')}")


def last_duplicates(vault: Vault) -> Duplicates | None:
    """What the last search found, for what can do without it: None where there was none, or the file is damaged."""
    try:
        return read_duplicates(vault)
    except (NothingToDo, StateError):
        return None


def without_faces(duplicates: Duplicates, photos: Set[str]) -> Duplicates:
    """The groups without what was measured of faces on these photos (sha256); to be searched again before they are next
    used.
    """
    unknown = {"face_sharpness": None, "eyes_open": None}
    groups = tuple(
        replace(
            group,
            files=tuple(
                replace(file, score={**file.score, **unknown}) if file.sha256 in photos else file
                for file in group.files
            ),
        )
        for group in duplicates.groups
    )
    return replace(duplicates, groups=groups, inputs="")


def dropped(duplicates: Duplicates) -> dict[str, Dropped]:
    """sha256 -> the photo that stands for it, for every photo that is left out.

    Copies of the same bytes are one photo, and not in it.
    """
    direct: dict[str, tuple[DuplicateFile, DuplicateGroup]] = {}
    for group in duplicates.groups:
        for file in group.files:
            if file.instead is not None and file.instead != file.sha256:
                direct.setdefault(file.sha256, (file, group))  # the first file of a content tells of what it is a copy
    paths = {file.sha256: file.path for group in reversed(duplicates.groups) for file in reversed(group.files)}
    names = ShortNames(file.path for group in duplicates.groups for file in group.files)
    found = {}
    for sha256, (file, group) in direct.items():
        instead, steps = file.instead or sha256, 1
        while instead in direct:  # a copy of a picture that a better one of its burst stands for
            instead, steps = direct[instead][0].instead or instead, steps + 1
        found[sha256] = Dropped(
            sha256, instead, paths[instead], group.kind, f"{file.reason} ({names.of(paths[instead])} is kept)", steps
        )
    return found
