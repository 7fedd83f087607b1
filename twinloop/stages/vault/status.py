"""What is in a vault, for people and programs that ask."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinloop.stages.vault.copies.record import DuplicateGroup, last_duplicates
from twinloop.stages.vault.dataset.by_hand import behind_outside, chosen_since
from twinloop.stages.vault.dataset.folder.outside import folders_outside
from twinloop.stages.vault.dataset.folder.own_files import holds_masks
from twinloop.stages.vault.dataset.folder.owner import owner_of, read_record
from twinloop.stages.vault.dataset.outdated import Outdated, outdated
from twinloop.stages.vault.offline_folders import is_there, renamed
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.new_faces import faces_to_tell_apart
from twinloop.stages.vault.people.record import read_people
from twinloop.stages.vault.people.without_face import without_face
from twinloop.store.atomic import read_json
from twinloop.store.pictures.sidecar import PERSON
from twinloop.store.vault.faces import count_embedded
from twinloop.store.vault.files import Counts


@dataclass(frozen=True, kw_only=True)
class Status:
    """What is there.

    Attributes:
        folders: that were scanned. missing: those of them that are not there now. renamed: of these, where all photos
            of each are now. files_missing: files below them, which ``counts`` holds, too. exclude: patterns of what is
            not scanned. unfinished: a scan of them was interrupted, or goes on. counts: as in `Counts`.
            with_embedding: faces that clustering can use.
        skipped: files with the reasons. without_face: paths of photos on which no face was found.
        people, duplicate_groups: None before the step that finds them. new_faces: as `faces_to_tell_apart` counts them.
        prepared: folders of training sets: names, and paths of those outside of the vault. behind: those of them that
            were prepared before something else was said of some photos -> of how many. outdated: those that prep would
            make otherwise now. notes: about models that are missing or broken.
    """

    folders: tuple[str, ...]
    unfinished: bool
    models_dir: str
    fingerprint: str
    counts: Counts
    with_embedding: int
    skipped: tuple[tuple[Path, str], ...]
    without_face: tuple[str, ...]
    people: int | None
    duplicate_groups: int | None
    decisions: int
    prepared: tuple[str, ...]
    behind: Mapping[str, int]
    notes: tuple[str, ...]
    missing: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    files_missing: int = 0
    exclude: tuple[str, ...] = ()
    new_faces: int = 0
    outdated: Mapping[str, Outdated] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "folders": list(self.folders),
            "missing": list(self.missing),
            "renamed": dict(self.renamed),
            "files_missing": self.files_missing,
            "exclude": list(self.exclude),
            "unfinished": self.unfinished,
            "models_dir": self.models_dir,
            "photos": self.counts.photos,
            "files": self.counts.files,
            "faces": self.counts.faces,
            "faces_with_embedding": self.with_embedding,
            "skipped": [{"path": os.fspath(path), "reason": reason} for path, reason in self.skipped],
            "without_face": list(self.without_face),
            "people": self.people,
            "new_faces": self.new_faces,
            "duplicate_groups": self.duplicate_groups,
            "decisions": self.decisions,
            "prepared": list(self.prepared),
            "behind": dict(self.behind),
            "outdated": {name: found.to_json() for name, found in self.outdated.items()},
            "notes": list(self.notes),
            "fingerprint": self.fingerprint,
        }


def status(opened: OpenVault) -> Status:
    """Count what is in an open vault."""
    vault, record = opened.vault, opened.record
    files = opened.catalog.files
    organized = vault.root / "organized"
    people = read_people(vault) if vault.people.exists() else None
    inside = sorted(path for path in organized.iterdir() if path.is_dir()) if organized.is_dir() else []
    prepared = [folder for folder in inside if not holds_masks(folder)]
    missing = tuple(folder for folder in map(Path, record.folders) if not is_there(folder, files))
    return Status(
        folders=record.folders,
        missing=tuple(map(os.fspath, missing)),
        renamed={os.fspath(old): os.fspath(new) for old, new in renamed(files, missing).items()},
        files_missing=files.files_below(folder for folder in missing if not set(folder.parents) & set(missing)),
        exclude=record.exclude,
        unfinished=record.unfinished,
        models_dir=record.models_dir,
        fingerprint=record.fingerprint,
        counts=files.counts(record.fingerprint),
        with_embedding=count_embedded(opened.catalog, record.fingerprint),
        skipped=tuple(files.skipped()),
        without_face=tuple(without_face(opened, people).values()),
        people=_length(vault.people, "people"),
        duplicate_groups=_duplicate_groups(opened),
        decisions=len(opened.decisions.active()),
        prepared=(*(folder.name for folder in prepared), *map(os.fspath, folders_outside(vault))),
        behind=_behind(opened, prepared),
        notes=record.notes,
        new_faces=faces_to_tell_apart(vault, opened.catalog, record.fingerprint),
        outdated=outdated(opened),
    )


def _behind(opened: OpenVault, folders: Sequence[Path]) -> dict[str, int]:
    people = read_people(opened.vault).persons if opened.vault.people.exists() else ()
    known = {person.id: person for person in people}
    found = {}
    for folder in folders:
        owner = known.get(owner_of(folder) or "")
        if owner is not None and (count := chosen_since(opened, owner, read_record(folder / PERSON))):
            found[folder.name] = count
    for person in people:
        found |= behind_outside(opened, person)
    return found


def _duplicate_groups(opened: OpenVault) -> int | None:
    """How many groups of the last search are still ones: files that are not known any more count for nothing."""
    last = last_duplicates(opened.vault)
    return None if last is None else sum(_is_group(opened, group) for group in last.groups)


def _is_group(opened: OpenVault, group: DuplicateGroup) -> bool:
    known = []
    for file in group.files:
        entry = opened.catalog.files.at(Path(file.path))
        if entry is not None and not entry.problem and entry.sha256 == file.sha256:
            known.append(file)
    if group.kind == "exact":
        return len([file for file in known if os.path.exists(file.path)] or known) > 1
    return len({file.sha256 for file in known}) > 1


def _length(path: Path, name: str) -> int | None:
    """The number of entries under ``name`` in an artefact; None where there is none yet."""
    if not path.exists():
        return None
    data = read_json(path)
    return len(data[name]) if isinstance(data, dict) and isinstance(data.get(name), list) else None
