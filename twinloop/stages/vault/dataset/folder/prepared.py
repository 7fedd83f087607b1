"""A person's folder as this program wrote it: which files are ours, which the user changed, and what may be replaced.

A file may be replaced or removed only while its bytes are ones that were written here. Every write is noted first, so
that a killed run knows its own files; ``person.json`` takes the notes over at the end.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twinloop.domain.captions import one_line
from twinloop.domain.file_names import is_inside
from twinloop.domain.vault import Label, Person
from twinloop.errors import StateError
from twinloop.stages.vault.dataset.folder import location
from twinloop.stages.vault.dataset.folder.own_files import Origin, masks_made_of, noted, recorded
from twinloop.stages.vault.dataset.folder.owner import read_record
from twinloop.stages.vault.dataset.own_captions import edit_many
from twinloop.stages.vault.opened import OpenVault
from twinloop.store.atomic import sha256_file, storage_errors, write_bytes, write_json
from twinloop.store.journal import Journal
from twinloop.store.pictures.images import SUFFIXES
from twinloop.store.pictures.mask_marks import is_marked_mask
from twinloop.store.pictures.masks import LABEL, masks_beside
from twinloop.store.pictures.sidecar import METADATA, NOTES, PERSON, json_lines

_REMEDY = "Delete it: it only remembers a preparation that was interrupted."


class PreparedFolder:
    """The files of one person's training set.

    Attributes:
        record: person.json as it was found, {} when there is none.
        current: name -> hash of what belongs to the folder now; grows with `put`.
        kept: names of files that were left alone because the user changed them.

    Args:
        is_original: whether a file of the folder is one that was scanned: it is never ours, whatever is on record.

    Raises:
        StateError: person.json is not ours, or it or the notes name a file outside of the folder.
    """

    def __init__(self, root: Path, is_original: Callable[[Path], bool] = lambda path: False) -> None:
        self.root, self._is_original = root, is_original
        path = root / PERSON
        self.record: dict[str, Any] = read_record(path) if path.exists() else {}
        if not isinstance(self.record, dict) or (self.record and "files" not in self.record):
            raise StateError(
                f"{path} is in the way: it was not written by this program. Move it away, or choose another --output."
            )
        self._notes = Journal(root / NOTES, remedy=_REMEDY)
        self._known: dict[str, dict[str, Origin]] = {}
        for name, digest, origin in itertools.chain(recorded(self.record), noted(self._notes)):
            if not is_inside(name):  # in the notes: a record has been looked through
                raise StateError(f"{root / NOTES} names {name!r}, which leads out of its folder. {_REMEDY}")
            self._know(name, digest, origin)
        self.current: dict[str, str] = {}
        self.kept: list[str] = []
        self.written = 0

    def _know(self, name: str, digest: str, origin: Origin) -> None:
        self._known.setdefault(name, {})[digest] = origin

    def _note(self, name: str, digest: str, origin: Origin) -> None:
        if self._known.get(name, {}).get(digest) != origin:
            self._notes.record(str(len(self._notes) + 1), [name, digest, origin.photo, origin.key])
            self._know(name, digest, origin)

    @property
    def names(self) -> frozenset[str]:
        """Of all files that were ever noted."""
        return frozenset(self._known)

    def is_original(self, name: str) -> bool:
        """Whether a scanned file lies under this name."""
        return self._is_original(self.root / name)

    def photo_of(self, name: str) -> str:
        """sha256 of the photo behind a file of ours, "" when there is none."""
        return next((origin.photo for origin in reversed(self._known.get(name, {}).values())), "")

    def is_there(self, name: str) -> bool:
        """Whether a file lies under this name that is no original."""
        return (self.root / name).is_file() and not self.is_original(name)

    def untouched(self, name: str) -> Origin | None:
        """What a file of ours was made of; None where it is not there, was changed, or is an original."""
        known = self._known.get(name)
        return known.get(sha256_file(self.root / name)) if known and self.is_there(name) else None

    def holds(self, name: str, origin: Origin) -> bool:
        """Whether the file is there, untouched, and made of just this."""
        return origin in self._known.get(name, {}).values() and self.untouched(name) == origin

    def claim(self, name: str) -> None:
        """The file that is there belongs to the folder as it is."""
        self.current[name] = sha256_file(self.root / name)

    def leave(self, name: str) -> None:
        """A file of ours that the user changed belongs to the folder, and stays as it is."""
        self.kept.append(name)
        # what was written last: the user's bytes never count as ours
        self.current[name] = next(reversed(self._known[name]))

    def put(self, name: str, data: bytes, origin: Origin) -> None:
        """Write a file, unless the user changed the one that is there."""
        path, digest = self.root / name, hashlib.sha256(data).hexdigest()
        known = self._known.get(name, {})
        there = sha256_file(path) if path.is_file() else None
        original = there is not None and self._is_original(path)
        if original or (there is not None and there != digest and there not in known):
            if known and not original:
                self.leave(name)
            else:
                self.kept.append(name)
            return
        self._note(name, digest, origin)
        self.current[name] = digest
        if there != digest:
            write_bytes(path, data)
            self.written += 1

    def put_caption(self, name: str, text: str, photo: str) -> None:
        """Write a caption file; one that says the same in other lines or spaces stays as it is."""
        path = self.root / name
        if path.is_file() and (data := path.read_bytes()) and _text(data) == one_line(text):
            digest = hashlib.sha256(data).hexdigest()
            self._note(name, digest, Origin(photo))
            self.current[name] = digest
        else:
            self.put(name, (one_line(text) + "\n").encode(), Origin(photo))

    def others(self) -> list[str]:
        """Names of pictures in the folder that are not of this training set: a trainer takes them, too. Masks that were
        made here are none.
        """
        left = (
            path.relative_to(self.root).as_posix()
            for path in self.root.rglob("*")
            if path.suffix.lower() in SUFFIXES and path.is_file()
        )
        return sorted(name for name in left if name not in self.current and not is_marked_mask(self.root / name))

    def remove_stale(self) -> list[str]:
        """Remove files of ours that are no longer wanted, and the masks that were made here of them; what the user
        changed stays.

        Returns the names that went, without masks.
        """
        removed, contents = [], set()
        for name, known in sorted(self._known.items()):
            path = self.root / name
            if name in self.current or not path.is_file() or self._is_original(path):
                continue
            digest = sha256_file(path)
            if digest not in known:
                self.kept.append(name)
            else:
                with storage_errors(path):
                    path.unlink()
                removed.append(name)
                contents.add(digest)
                self._remove_empty(path.parent)
        for mask in masks_made_of(self.root, contents) if contents else ():
            if self._picture_of(mask) not in self.current:  # the same picture may have another name now
                with storage_errors(mask):
                    mask.unlink()
                self._remove_empty(mask.parent)
        return removed

    def _picture_of(self, mask: Path) -> str:
        """The name of the picture that a mask lies at."""
        home = self.root if self.root in mask.parents else masks_beside(self.root)
        return mask.relative_to(home).with_name(f"{mask.stem.removesuffix(LABEL)}.png").as_posix()

    def _remove_empty(self, folder: Path) -> None:
        if folder != self.root and not any(folder.iterdir()):
            with storage_errors(folder):
                folder.rmdir()

    def finish(self, record: Mapping[str, Any]) -> None:
        """Write person.json with all files that are ours; from then on the notes are not needed."""
        files = []
        for name, digest in sorted(self.current.items()):
            origin = self._known[name][digest]
            files.append({"file": name, "sha256": digest, "photo": origin.photo, "key": origin.key})
        data = {**record, "files": files}
        if data != self.record:
            write_json(self.root / PERSON, data, private=True)
        (self.root / NOTES).unlink(missing_ok=True)

    # words that the user changed

    def adopt_edits(self, opened: OpenVault, label: Label) -> list[str]:
        """Make all captions that were changed in this folder one decision of the user's; returns the names of the
        files.
        """
        found: dict[str, str] = {}
        changed = []
        for name in sorted(self._known):
            path = self.root / name
            if not name.endswith(".txt") or not path.is_file():
                continue
            data = path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            if digest not in self._known[name]:
                self._say(found, name, _text(data))
                changed.append((name, digest, Origin(self.photo_of(name))))
        lines = self._changed_lines(found, changed)
        edit_many(opened, label, found, as_is=True)
        texts = [name for name, *_ in changed if name != METADATA]
        for name, digest, origin in changed:
            self._note(name, digest, origin)
        return [*texts, *lines]

    def _changed_lines(self, found: dict[str, str], changed: list[tuple[str, str, Origin]]) -> list[str]:
        """The same for metadata.jsonl, line by line: what was said goes into the one, the file into the other."""
        path = self.root / METADATA
        if METADATA not in self._known or not path.is_file() or sha256_file(path) in self._known[METADATA]:
            return []
        written = {item["file"]: item["text"] for item in self.record.get("pictures", ())}
        names = []
        for line in lines_of(path):
            name, text = str(line["file_name"]), str(line.get("text", ""))
            if name in self._known and one_line(text) != one_line(written.get(name, "")):
                self._say(found, name, one_line(text))
                names.append(f"{METADATA}: {name}")
        changed.append((METADATA, sha256_file(path), Origin()))
        return names

    def _say(self, found: dict[str, str], name: str, text: str) -> None:
        """Add what a file says of its photo; the last file counts."""
        photo = self.photo_of(name)
        if photo:
            found.pop(photo, None)
            found[photo] = text

    def foreign_lines(self) -> list[dict[str, Any]]:
        """Lines of metadata.jsonl about pictures that are not ours: the user's own, which stay."""
        path = self.root / METADATA
        return [line for line in lines_of(path) if line["file_name"] not in self._known] if path.is_file() else []


def adopt_edits(opened: OpenVault, person: Person, label: Label) -> list[str]:
    """The captions that the user changed in the person's folder, made decisions; [] when there is no such folder."""
    root = location.found(opened, person).root
    return PreparedFolder(root).adopt_edits(opened, label) if (root / PERSON).is_file() else []


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a metadata.jsonl that name a file.

    Raises:
        StateError: a line that is not JSON; nothing was changed.
    """
    found = []
    for number, line in enumerate(json_lines(path), 1):
        if line.strip():
            try:
                data = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise StateError(
                    f"{path}, line {number} is not JSON ({error}). Correct it, or move the file away; nothing was"
                    " changed."
                ) from error
            if isinstance(data, dict) and "file_name" in data:
                found.append(data)
    return found


def _text(data: bytes) -> str:
    return one_line(data.decode("utf-8-sig", errors="replace"))
