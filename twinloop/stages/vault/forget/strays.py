"""Pictures of a person in the training sets of others: cut while the face was taken to be theirs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.vault import FaceKey
from twinloop.stages.vault.dataset.folder.outside import folders_outside
from twinloop.stages.vault.dataset.folder.own_files import masks_made_of, remove_empty, written
from twinloop.stages.vault.dataset.folder.owner import owner_of
from twinloop.stages.vault.dataset.folder.whose import GIVING, SaidOfFaces, is_cut_of
from twinloop.stages.vault.forget.removing import remove
from twinloop.stages.vault.people.membership import ids_merged_into
from twinloop.stages.vault.people.record import people_of, read_found
from twinloop.store.atomic import read_json, read_object, sha256_file, write_bytes, write_json
from twinloop.store.pictures.images import SUFFIXES
from twinloop.store.pictures.sidecar import METADATA, PERSON
from twinloop.store.vault.decisions import DecisionLog
from twinloop.store.vault.folder import Vault


@dataclass(frozen=True)
class Strays:
    """What is to go of somebody else's training set.

    Attributes:
        folder: of the set. captions: the record of the captions of whose it is.
        photos: sha256 of the photos behind the pictures. digests: of the pictures and captions as they were written.
        ours: files that go. others: pictures that the user changed: they stay.
    """

    folder: Path
    captions: Path
    photos: frozenset[str]
    digests: frozenset[str]
    ours: tuple[Path, ...]
    others: tuple[Path, ...]

    def remove(self) -> None:
        """Delete the files, and what is on record of them.

        Killed at any point and called again, it removes the rest: the list of the files goes last.

        Raises:
            StorageError: a file may not be removed, or written.
        """
        remove(self.ours)
        for path in self.ours:
            if path.parent != self.folder:
                remove_empty(path.parent)
        record = read_json(self.folder / PERSON)
        names = {item["file"] for item in record["files"] if item["photo"] in self.photos}
        digest = _without_lines(self.folder / METADATA, names)
        if self.captions.is_file():
            write_json(self.captions, _without(read_object(self.captions), self.photos), private=True)
        left = _without(record, self.photos)
        for item in left["files"]:
            if item["file"] == METADATA and item["sha256"] == digest[0]:
                item["sha256"] = digest[1]
        write_json(self.folder / PERSON, left, private=True)


def strays_of(vault: Vault, decisions: DecisionLog, ids: Set[str], faces: Sequence[FaceKey]) -> tuple[Strays, ...]:
    """The pictures of a person in the training sets of others, below organized/ and outside of the vault: those that
    were cut around a face that the user then gave to this person, or that is this person's now. Others of a photo that
    shows several people stay.

    Args:
        ids: of the person, and of those merged into it. faces: the person's.
    """
    folders = (*sorted((vault.root / "organized").glob("*")), *folders_outside(vault))
    found = (_strays_in(vault, decisions, ids, faces, path) for path in folders)
    return tuple(strays for strays in found if strays is not None)


def _strays_in(
    vault: Vault, decisions: DecisionLog, ids: Set[str], faces: Sequence[FaceKey], folder: Path
) -> Strays | None:
    owner = owner_of(folder)
    if owner is None or owner in ids:
        return None
    merges, said = decisions.active("merge"), SaidOfFaces(decisions.active(*GIVING))
    record = read_object(folder / PERSON)
    theirs = _photos_of(vault, decisions, owner)
    photos = set()
    for photo, picture in _pictures(record).items():
        if theirs is not None and photo in theirs:
            continue
        last = said.last(photo, picture, ids_merged_into(merges, owner))
        is_face = any(key.sha256 == photo and is_cut_of(picture, key) for key in faces)
        if last in ids or (not last and theirs is not None and is_face):
            photos.add(photo)
    if not photos:
        return None
    known: dict[str, set[str]] = {}
    for name, digest, origin in written(folder):
        if origin.photo in photos:
            known.setdefault(name, set()).add(digest)
    there = [name for name in sorted(known) if (folder / name).is_file()]
    ours = [name for name in there if _is_ours(folder / name, known[name])]
    digests = frozenset(digest for found in known.values() for digest in found)
    return Strays(
        folder,
        vault.captions(owner),
        frozenset(photos),
        digests,
        (*masks_made_of(folder, digests), *(folder / name for name in ours)),
        tuple(folder / name for name in there if name not in ours),
    )


def _photos_of(vault: Vault, decisions: DecisionLog, owner: str) -> frozenset[str] | None:
    """sha256 of the photos on which this person has a face now; None = nobody was told apart."""
    found = read_found(vault)
    if found is None:
        return None
    merges = decisions.active("merge")
    people = people_of(found, decisions.active()).persons
    return frozenset(
        key.sha256 for person in people if owner in ids_merged_into(merges, person.id) for key in person.faces
    )


def _pictures(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """photo (sha256) -> what a person.json says of its picture; of one that it only counts among its files, nothing."""
    whole = {"source": {"crop": [0, 0, 1, 1], "width": 1, "height": 1}}
    found = {str(item["photo"]): whole for item in record.get("files", ()) if item["photo"]}
    return found | {str(item["source"]["sha256"]): item for item in record.get("pictures", ())}


def _is_ours(path: Path, digests: Set[str]) -> bool:
    return path.suffix.lower() not in SUFFIXES or sha256_file(path) in digests


def _without(data: dict[str, Any], photos: Set[str]) -> dict[str, Any]:
    """A person.json, or a record of captions, without these photos."""
    left: dict[str, Any] = {
        name: [item for item in data[name] if item["photo"] not in photos]
        for name in ("files", "left_out", "captions")
        if name in data
    }
    if "pictures" in data:
        left["pictures"] = [item for item in data["pictures"] if item["source"]["sha256"] not in photos]
    if "by_hand" in data:
        left["by_hand"] = {kind: [one for one in said if one not in photos] for kind, said in data["by_hand"].items()}
    return {**data, **left}


def _without_lines(path: Path, names: Collection[str]) -> tuple[str, str]:
    """Take the lines of these pictures out of a metadata.jsonl; returns the hash of the file before and after."""
    if not path.is_file():
        return "", ""
    before, lines = sha256_file(path), path.read_bytes().splitlines(keepends=True)
    left = [line for line in lines if _named(line) not in names]
    if left != lines:
        write_bytes(path, b"".join(left))
    return before, sha256_file(path)


def _named(line: bytes) -> str | None:
    with contextlib.suppress(ValueError, RecursionError):
        data = json.loads(line)
        return str(data["file_name"]) if isinstance(data, dict) and "file_name" in data else None
    return None
