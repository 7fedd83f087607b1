"""The people of a vault with all their faces, as a list for a terminal, a page or a program."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from twinloop.domain.faces import Box
from twinloop.domain.vault import FaceKey, Person
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.called import NOTHING, InPhotos
from twinloop.stages.vault.people.record import People
from twinloop.store.vault.faces import FaceEntry, face_entries


@dataclass(frozen=True)
class ListedPerson:
    """A person, or the strangers (``person`` None). ``faces``: the most telling one first. ``in_photos``: what photo
    programs called them.
    """

    person: Person | None
    faces: tuple[FaceEntry, ...]
    in_photos: InPhotos = NOTHING

    def to_json(self) -> dict[str, Any]:
        person = self.person
        head: dict[str, Any] = {"id": None, "name": None} if person is None else {"id": person.id, "name": person.name}
        return {
            **head,
            **({"hidden": True} if person is not None and person.hidden else {}),
            **({"named_in_photos": self.in_photos.to_json()} if self.in_photos.counts else {}),
            "faces": [
                {
                    "path": face.path,
                    "box": face.box.to_list(),
                    "confidence": round(face.confidence, 4),
                    "sha256": face.key.sha256,
                }
                for face in self.faces
            ],
        }


def clusters(opened: OpenVault, people: People) -> list[ListedPerson]:
    """Everybody by id, hidden people too, and the strangers at the end; people with their whole pictures, too. Faces of
    photos that are gone are left out.
    """
    known = {entry.key: entry for entry in face_entries(opened.catalog, opened.fingerprint)}
    whole = (key for person in people.persons for key in person.faces if key.is_whole and key not in known)
    known |= {key: entry for key in whole if (entry := _whole(opened, key)) is not None}
    listed = [
        ListedPerson(person, _entries(person.faces, known), people.in_photos(person)) for person in people.persons
    ]
    return [*listed, ListedPerson(None, _entries(people.strangers, known))]


def _whole(opened: OpenVault, key: FaceKey) -> FaceEntry | None:
    """A whole picture that is somebody's, in the place of a face."""
    photo = opened.catalog.photo(key.sha256, opened.fingerprint)
    if photo is None:
        return None
    box = Box(0, 0, photo.width, photo.height)
    return FaceEntry(key, box, 0.0, 0.0, 0, photo.width, photo.height, photo.paths[0])


def _entries(keys: Iterable[FaceKey], known: dict[FaceKey, FaceEntry]) -> tuple[FaceEntry, ...]:
    found = [known[key] for key in keys if key in known]
    return tuple(sorted(found, key=lambda entry: (-entry.quality * entry.confidence, entry.key.sha256, entry.number)))
