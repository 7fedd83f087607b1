"""Dataset: the photos of a person with what was measured, duplicates, captions, readiness, and the wanted shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel

from twinloop import wiring
from twinloop.config import Settings, load_settings
from twinloop.domain.facet import Facet
from twinloop.domain.vault import Consent, Person
from twinloop.errors import InputError, NothingToDo, StateError
from twinloop.ports import SilentReporter
from twinloop.stages.targets import save_targets, targets_json
from twinloop.stages.vault.copies.dedup import current
from twinloop.stages.vault.copies.edits import distinct, keep
from twinloop.stages.vault.copies.record import read_duplicates
from twinloop.stages.vault.dataset.audit import audit
from twinloop.stages.vault.dataset.bulk_edit import Change, preview
from twinloop.stages.vault.dataset.by_hand import INCLUDE, chosen_since
from twinloop.stages.vault.dataset.by_hand import say as say_by_hand
from twinloop.stages.vault.dataset.caption import last_options
from twinloop.stages.vault.dataset.folder.owner import owner_of, read_record
from twinloop.stages.vault.dataset.folder.prepared import adopt_edits
from twinloop.stages.vault.dataset.known_captions import known_captions
from twinloop.stages.vault.dataset.known_photos import known_photos, still_left_out
from twinloop.stages.vault.dataset.label import LabelOptions, head_of, label, label_json, label_of, needed_label
from twinloop.stages.vault.dataset.measured_shares import measured_shares
from twinloop.stages.vault.dataset.own_captions import edit_many
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.opening import looked_into
from twinloop.stages.vault.people.record import find_person, read_people
from twinloop.web.api.shared import Sent, TheSite, changing, private
from twinloop.web.pictures import picture
from twinloop.web.recorded import identity
from twinloop.web.site import Site

router = APIRouter(prefix="/dataset")


@router.get("")
def dataset(person: str, site: TheSite) -> dict[str, Any]:
    """All of a person that the page shows but the wanted shares."""
    facets, _ = wiring.chosen_facets((), None)
    with looked_into(site.vault.root) as opened:
        who = find_person(read_people(opened.vault), person)
        named = label_of(opened.decisions, who.id)
        cutting, options = last_options(opened, who)
        record = _prepared(opened, who)
        captions = known_captions(opened, who, record)
        constant = audit([item.text for item in captions], head_of(named, options.style), facets) if named else ()
        photos = known_photos(opened, who, facets)
        groups = _groups(opened, {item.photo.sha256 for item in photos})
        return {
            "person": {"id": who.id, "name": who.name, "hidden": who.hidden},
            "label": label_json(named) if named else None,
            "options": {**options.to_json(), "framing": cutting.framing, "size": cutting.size},
            "photos": [item.to_json() for item in photos],
            "captions": [item.to_json() for item in captions],
            "audit": [item.to_json() for item in constant],
            "duplicates": groups,
            "folder": site.show(opened.vault.person(who.folder_name)) if record else None,
            "readiness": record.get("readiness"),
            "chosen_since": chosen_since(opened, who, record),
        }


def _prepared(opened: OpenVault, person: Person) -> dict[str, Any]:
    """The person's ``person.json``; {} before `prep`."""
    path = opened.vault.person_record(person.folder_name)
    return read_record(path) if path.is_file() and owner_of(path.parent) == person.id else {}


def _groups(opened: OpenVault, photos: set[str]) -> list[dict[str, Any]] | None:
    """Groups of duplicates that hold one of these photos; None = nobody has looked."""
    if not opened.vault.duplicates.exists():
        return None
    return [
        group.to_json()
        for group in read_duplicates(opened.vault).groups
        if any(file.sha256 in photos for file in group.files)
    ]


@router.get("/picture")
def prepared_picture(person: str, sha256: str, site: TheSite, size: int = 256) -> Response:
    """One picture of the person's training set, by its content as it was written."""
    found = _pictures(site, person)
    if sha256 not in found.files:
        raise NothingToDo("No such picture in this person's training set.")
    return private(picture(found.folder / found.files[sha256], size, sha256))


@dataclass(frozen=True)
class _Pictures:
    """Of a training set.

    Attributes:
        files: name in the folder by content. known_by: the files that this was read from, each with its identity.
    """

    folder: Path
    files: Mapping[str, str]
    known_by: Mapping[Path, tuple[int, ...]]


_KEPT = 16
_pictures_of: dict[tuple[Path, str], _Pictures] = {}
"""By vault and what a person was called in the address: every thumbnail of a page asks for the same."""


def _pictures(site: Site, person: str) -> _Pictures:
    """The pictures of a person's training set; read again when a file that says whose they are has changed."""
    vault = site.vault
    kept = _pictures_of.get((vault.root, person))
    if kept is not None and all(identity(path) == known for path, known in kept.known_by.items()):
        return kept
    known_by = {path: identity(path) for path in (vault.scan_record, vault.people, vault.decisions)}
    with looked_into(vault.root) as opened:
        who = find_person(read_people(opened.vault), person)
        record = opened.vault.person_record(who.folder_name)
        known_by[record] = identity(record)
        files = {item["sha256"]: item["file"] for item in _prepared(opened, who).get("files", ()) if item["key"]}
    if len(_pictures_of) >= _KEPT:
        _pictures_of.clear()
    made = _pictures_of[vault.root, person] = _Pictures(record.parent, files, known_by)
    return made


class NewLabel(Sent):
    """As ``twinloop vault label`` takes it."""

    person: str
    trigger: str
    class_word: str = "person"
    consent: str | None = None
    by: str = ""
    on: str = ""
    scope: str = ""


@router.post("/label")
def say_label(body: NewLabel, site: TheSite) -> dict[str, Any]:
    """Say how a person is called in training, and on what ground the photos may be used."""
    with changing(site) as opened:
        who = find_person(read_people(opened.vault), body.person)
        consent = Consent(body.consent, body.by, body.on, body.scope)
        return label(opened, who, LabelOptions(body.trigger, body.class_word, consent)).to_json()


class Edit(BaseModel):
    """A caption: what it was when it was looked at, and what it is to be ("" = the measured one)."""

    before: str
    after: str


class Edits(Sent):
    """sha256 of photos -> edits."""

    person: str
    edits: dict[str, Edit]


class WantedChange(Sent):
    """One change to the captions of some photos (sha256); kinds as in `Change`."""

    person: str
    photos: list[str]
    kind: str
    words: str
    by: str = ""


@router.post("/captions/preview")
def preview_change(body: WantedChange, site: TheSite) -> list[dict[str, str]]:
    """What a change would make of captions; nothing is written."""
    with looked_into(site.vault.root) as opened:
        who = find_person(read_people(opened.vault), body.person)
        texts = _texts(opened, who, body.photos)
        made = preview(texts, Change(body.kind, body.words, body.by), needed_label(opened, who))
    return [{"sha256": sha256, "before": texts[sha256], "after": after} for sha256, after in made.items()]


@router.post("/captions")
def edit_captions(body: Edits, site: TheSite) -> dict[str, Any]:
    """Write captions down as the user's own: one decision, taken back as one."""
    with changing(site) as opened:
        who = find_person(read_people(opened.vault), body.person)
        named = needed_label(opened, who)
        adopt_edits(opened, who, named)
        for sha256, text in _texts(opened, who, body.edits).items():
            if text != body.edits[sha256].before:
                raise StateError(
                    "A caption was changed elsewhere since you looked at it, and nothing was written. Look at the"
                    " captions again."
                )
        return {"written": edit_many(opened, named, {sha256: made.after for sha256, made in body.edits.items()})}


def _texts(opened: OpenVault, who: Person, photos: list[str] | Mapping[str, Any]) -> dict[str, str]:
    """The captions of some photos as they stand."""
    known = {item.sha256: item.text for item in known_captions(opened, who, {})}
    missing = [sha256 for sha256 in photos if sha256 not in known]
    if missing:
        raise InputError(
            f"No caption of {len(missing)} of these photos is known. Write them first: twinloop vault caption {who.id}"
        )
    return {sha256: known[sha256] for sha256 in photos}


class ByHand(Sent):
    """What is said of some photos (sha256); kinds as in `by_hand.KINDS`."""

    person: str
    photos: list[str]
    kind: str


@router.post("/photos")
def choose_by_hand(body: ByHand, site: TheSite) -> dict[str, Any]:
    """Leave photos out of the training set, take them in, or say neither any more; and which are left out all the same
    of those that were taken in.
    """
    with changing(site) as opened:
        who = find_person(read_people(opened.vault), body.person)
        made = say_by_hand(opened, who, body.kind, body.photos)
        left_out = still_left_out(opened, who, made.data["photos"]) if made.kind == INCLUDE else ()
        return {"number": made.number, "kind": made.kind, "left_out": [item.to_json() for item in left_out]}


class OneFile(Sent):
    file: Path


class SomeFiles(Sent):
    files: list[Path]


@router.post("/duplicates/keep")
def keep_instead(body: OneFile, site: TheSite) -> dict[str, Any]:
    """Keep this photo of its group."""
    with changing(site) as opened:
        made = keep(opened, current(opened, SilentReporter()), body.file)
        current(opened, SilentReporter())
        return {"number": made.number, "kind": made.kind}


@router.post("/duplicates/distinct")
def no_duplicates(body: SomeFiles, site: TheSite) -> dict[str, Any]:
    """These photos are no duplicates of each other."""
    with changing(site) as opened:
        made = distinct(opened, body.files)
        current(opened, SilentReporter())
        return {"number": made.number, "kind": made.kind}


@router.get("/shares")
def shares(person: str, site: TheSite, config: str | None = None) -> dict[str, Any]:
    """The shares of a person's training set as last measured, and the targets of a configuration (None = the facets'
    own). ``not_loaded``: its plug-ins, where looking at it does not run them.
    """
    with looked_into(site.vault.root) as opened:
        who = find_person(read_people(opened.vault), person)
        folder = opened.vault.person(who.folder_name)
    runs = site.runs()
    written = [path for space in runs.values() for path in space.root.glob("gaps_iter*.json")]
    found = measured_shares(folder, [*written, site.vault.gaps(who.id)], site.home)
    settings, facets = None, wiring.chosen_facets((), None)[0]
    not_loaded: tuple[str, ...] = ()
    if config:
        path = _config(site, config)
        settings = load_settings(path)
        not_loaded, facets = _not_loaded(settings, path, site), _facets(settings, path, site)
    return {
        "configs": list(site.configs(runs)),
        "config": config,
        "not_loaded": list(not_loaded),
        "targets": targets_json(facets, settings.analysis.shares if settings is not None else {}),
        "measured": (
            None
            if found is None
            else {
                "from": site.show(found.path),
                "stale": found.stale,
                "images": found.data.get("images"),
                "facets": found.data["facets"],
                "not_measured": found.data.get("not_measured", {}),
                "notes": found.data.get("notes", []),
            }
        ),
    }


class Targets(Sent):
    """Facet -> value -> wanted share, 0..1; null = the facet's own. What is not named stays as it is."""

    config: str
    shares: dict[str, dict[str, float | None]]


@router.post("/targets")
def save(body: Targets, site: TheSite) -> dict[str, Any]:
    """Write wanted shares into a configuration."""
    path = _config(site, body.config)
    settings = save_targets(path, body.shares, lambda settings: _facets(settings, path, site))
    return {"config": body.config, "shares": settings.analysis.shares}


def _not_loaded(settings: Settings, path: Path, site: Site) -> tuple[str, ...]:
    """The plug-ins that a configuration names and the page does not run: it may have come from somebody else."""
    return () if site.is_the_users(path) else settings.analysis.plugins


def _facets(settings: Settings, path: Path, site: Site) -> tuple[Facet, ...]:
    """The facets in force; the usual ones where plug-ins are not run, since the named ones may be theirs."""
    if _not_loaded(settings, path, site):
        return wiring.chosen_facets((), None)[0]
    analysis = settings.analysis
    return wiring.chosen_facets(analysis.plugins, analysis.facets, settings.validation.faces)[0]


def _config(site: Site, name: str) -> Path:
    configs = site.configs()
    if name not in configs:
        raise NothingToDo(f"No configuration {name}. Known: {', '.join(configs) or 'none'}.")
    return configs[name]
