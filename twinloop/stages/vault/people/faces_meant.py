"""Which faces the user means by naming files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from twinloop.domain.vault import FaceKey, Person
from twinloop.domain.wording import plural
from twinloop.errors import InputError, StateError
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.record import People, stale
from twinloop.stages.vault.photo_named import photo_named
from twinloop.store.vault.faces import FaceEntry, face_entries


class FacesMeant:
    """The faces of files, as the user sees them now.

    Args:
        face: number of the face in each file, from 1 (the largest), where the user says which.

    Raises:
        StateError: the photos were scanned with other models since; the faces have to be told apart again first.
    """

    def __init__(self, opened: OpenVault, people: People, face: int | None = None) -> None:
        if people.fingerprint != opened.fingerprint:
            raise StateError(stale(opened.vault))
        self._opened, self._people, self._face = opened, people, face
        self._by_photo: dict[str, list[FaceEntry]] = {}
        for entry in face_entries(opened.catalog, opened.fingerprint):
            self._by_photo.setdefault(entry.key.sha256, []).append(entry)

    def of_person(self, person: Person, files: Sequence[Path]) -> list[FaceKey]:
        """The person's faces in these files, each once.

        Raises:
            InputError: an unknown file, or one without a face of this person.
        """
        return list(dict.fromkeys(self._of_person(person, file) for file in files))

    def _of_person(self, person: Person, file: Path) -> FaceKey:
        whole = self._whole(person, file)
        if whole is not None:
            return whole
        entries = self._faces(file, person.faces)
        mine = [entry.key for entry in entries if entry.key in set(person.faces)]
        if self._face is not None:
            chosen = self._numbered(file, entries)
            if chosen not in mine:
                raise InputError(f"Face {self._face} of {file} is not one of {person.called}. {self._listed(entries)}")
            return chosen
        if len(mine) > 1:
            raise InputError(
                f"{file} has several faces of {person.called}. Say which with --face N. {self._listed(entries)}"
            )
        if not mine:
            raise InputError(f"{file} has no face of {person.called}. {self._listed(entries)}")
        return mine[0]

    def for_person(self, person: Person, files: Sequence[Path]) -> list[FaceKey]:
        """The one face in each of these files that could be meant as another face of this person.

        Raises:
            InputError: an unknown file, one without a face, or one in which several could be meant.
        """
        return list(dict.fromkeys(self._for_person(person, file) for file in files))

    def _for_person(self, person: Person, file: Path) -> FaceKey:
        entries = self._faces(file)
        if self._face is not None:
            return self._numbered(file, entries)
        mine = [entry.key for entry in entries if entry.key in set(person.faces)]
        free = [entry.key for entry in entries if self._people.person_of(entry.key) is None]
        for meant in (mine, [entry.key for entry in entries], free):
            if len(meant) == 1:
                return meant[0]
        raise InputError(f"{file} has {len(entries)} faces. Say which with --face N. {self._listed(entries)}")

    def _faces(self, file: Path, among: Iterable[FaceKey] = ()) -> list[FaceEntry]:
        sha256 = photo_named(self._opened, file, {key.sha256 for key in among} or self._by_photo.keys()).sha256
        entries = self._by_photo.get(sha256, [])
        if not entries:
            raise InputError(
                f"No face was found in {file}. To take the whole picture:"
                f" {self._opened.vault.command('assign PERSON FILE --without-face')}"
            )
        return entries

    def _whole(self, person: Person, file: Path) -> FaceKey | None:
        """The picture, where it is the person's as a whole."""
        pictures = {key.sha256: key for key in person.faces if key.is_whole}
        return pictures.get(photo_named(self._opened, file, pictures).sha256) if pictures else None

    def _numbered(self, file: Path, entries: Sequence[FaceEntry]) -> FaceKey:
        assert self._face is not None
        if self._face > len(entries):
            raise InputError(f"{file} has {plural(len(entries), 'face')}, no face {self._face}.")
        return entries[self._face - 1].key

    def _listed(self, entries: Sequence[FaceEntry]) -> str:
        """``Its faces: 1 alice (left), 2 nobody known (right).``"""
        texts = []
        for number, entry in enumerate(entries, 1):
            owner = self._people.person_of(entry.key)
            middle = (entry.box.x0 + entry.box.x1) / 2 / entry.width
            place = "left" if middle < 0.4 else "right" if middle > 0.6 else "middle"
            texts.append(f"{number} {'nobody known' if owner is None else owner.called} ({place})")
        return f"Its faces: {', '.join(texts)}."
