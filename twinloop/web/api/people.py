"""People: whose faces are whose, as the clustering found it and as a person says; each word can be taken back."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel

from twinloop.domain.vault import FaceKey, Person
from twinloop.errors import InputError, NothingToDo, StateError
from twinloop.ports import SilentReporter
from twinloop.stages.vault.copies.dedup import current
from twinloop.stages.vault.copies.edits import KINDS as DUPLICATES
from twinloop.stages.vault.history import history, last_said
from twinloop.stages.vault.opening import looked_into
from twinloop.stages.vault.people import edits
from twinloop.stages.vault.people.listing import ListedPerson, clusters
from twinloop.stages.vault.people.record import find_person, read_people
from twinloop.web.api.shared import Sent, TheSite, changing, private
from twinloop.web.pictures import face as cut_face
from twinloop.web.site import Site

router = APIRouter(prefix="/people")
STRANGERS = "strangers"


@router.get("")
def people(site: TheSite) -> dict[str, Any]:
    """Everybody, the ones with most faces first, and the strangers; each with the face that shows them best."""
    with looked_into(site.vault.root) as opened:
        *listed, strangers = clusters(opened, read_people(opened.vault))
    listed.sort(key=lambda item: -len(item.faces))
    return {"people": [_head(item) for item in listed], "strangers": _head(strangers)}


@router.get("/person")
def person(person: str, site: TheSite) -> dict[str, Any]:
    """All faces of a person, or of the ``strangers``, the best first."""
    with looked_into(site.vault.root) as opened:
        found = read_people(opened.vault)
        wanted = None if person == STRANGERS else find_person(found, person)
        item = next(item for item in clusters(opened, found) if item.person == wanted)
    faces = [
        {**entry.key.to_json(), "name": Path(entry.path).name, "quality": round(entry.quality, 3)}
        for entry in item.faces
    ]
    return {**_head(item), "faces": faces}


def _head(item: ListedPerson) -> dict[str, Any]:
    who = item.person or Person(STRANGERS, None, ())
    cover = item.faces[0].key.to_json() if item.faces else None
    said = item.in_photos
    return {
        "id": who.id,
        "name": who.name,
        "hidden": who.hidden,
        "faces": len(item.faces),
        "cover": cover,
        "called_in_photos": said.name,
        "named_in_photos": said.to_json(),
        "may_mix": said.may_mix,
    }


@router.get("/face")
def face(sha256: str, box: str, site: TheSite) -> Response:
    """One face, cut from its photo; only faces of this vault."""
    key = _face_key(sha256, box)
    record = site.vault.people
    if not record.exists() or key not in _known(record, record.stat().st_mtime_ns, site):
        raise NothingToDo("No such face in the vault.")
    with looked_into(site.vault.root) as opened:
        photo = opened.catalog.photo(sha256, opened.fingerprint)
    if photo is None:
        raise NothingToDo("The photo of this face is gone. Scan again: twinloop vault scan")
    return private(cut_face([Path(path) for path in photo.paths], sha256, key.box))


def _face_key(sha256: str, box: str) -> FaceKey:
    try:
        return FaceKey.from_json({"sha256": sha256, "box": box.split(",")})
    except ValueError as error:
        raise InputError("A face is named by its photo and four numbers.") from error


@lru_cache(maxsize=2)
def _known(_record: Path, _changed: int, site: Site) -> frozenset[FaceKey]:
    """All faces of the vault: they are asked for by the hundred."""
    found = read_people(site.vault)
    return frozenset([*found.strangers, *(key for person in found.persons for key in person.faces)])


@router.get("/history")
def decided(site: TheSite) -> list[dict[str, Any]]:
    """All that was decided in this vault, oldest first."""
    with looked_into(site.vault.root) as opened:
        return [said.to_json() for said in history(opened)]


class OneName(Sent):
    person: str
    name: str


class Into(Sent):
    person: str
    into: str


class Who(Sent):
    person: str


class AFace(BaseModel):
    """As `FaceKey`."""

    sha256: str
    box: tuple[float, float, float, float]


class Faces(Sent):
    """Some faces of a person, or of the ``strangers``."""

    person: str
    faces: list[AFace]

    @property
    def keys(self) -> list[FaceKey]:
        return [FaceKey(face.sha256, face.box) for face in self.faces]


@router.post("/name")
def name(body: OneName, site: TheSite) -> dict[str, Any]:
    """Call a person something."""
    with changing(site) as opened:
        return edits.name(opened, body.person, body.name).to_json()


@router.post("/merge")
def merge(body: Into, site: TheSite) -> dict[str, Any]:
    """Two people are one."""
    with changing(site) as opened:
        return edits.merge(opened, [body.into, body.person]).to_json()


@router.post("/split")
def split(body: Faces, site: TheSite) -> dict[str, Any]:
    """These faces are a person of their own."""
    with changing(site) as opened:
        return edits.split_faces(opened, None if body.person == STRANGERS else body.person, body.keys).to_json()


@router.post("/reject")
def reject(body: Faces, site: TheSite) -> dict[str, Any]:
    """These faces are not this person."""
    with changing(site) as opened:
        return edits.reject_faces(opened, body.person, body.keys).to_json()


@router.post("/assign")
def assign(body: Faces, site: TheSite) -> dict[str, Any]:
    """These faces are this person."""
    with changing(site) as opened:
        return edits.assign_faces(opened, body.person, body.keys).to_json()


@router.post("/hide")
def hide(body: Who, site: TheSite) -> dict[str, Any]:
    """Leave a person out."""
    with changing(site) as opened:
        return edits.hide(opened, body.person).to_json()


@router.post("/show")
def show(body: Who, site: TheSite) -> dict[str, Any]:
    """A person is shown again."""
    with changing(site) as opened:
        return edits.hide(opened, body.person, hidden=False).to_json()


class Last(Sent):
    """Number of the decision that the user saw as the last one."""

    number: int


@router.post("/undo")
def undo(body: Last, site: TheSite) -> dict[str, Any]:
    """Take the last decision back, whatever it was about.

    Raises:
        StateError: another one is the last by now: it was decided elsewhere meanwhile, or taken back already.
    """
    with changing(site) as opened:
        said = last_said(opened)
        if said.decision.number != body.number:
            raise StateError(
                f"Nothing was taken back: the last decision is another one now ({said.text}). Look at it, then undo"
                " again."
            )
        last = edits.undo(opened)
        if last.kind in DUPLICATES and opened.vault.duplicates.exists():
            current(opened, SilentReporter())
        return {"number": last.number, "kind": last.kind, "text": said.text}
