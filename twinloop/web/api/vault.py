"""The vault: what is in it, its photos, the commands that work on it, and taking the last decision back."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response

from twinloop.errors import InputError, NothingToDo
from twinloop.stages.vault.dataset.folder.outside import folders_outside
from twinloop.stages.vault.dataset.outdated import outdated
from twinloop.stages.vault.opening import looked_into
from twinloop.stages.vault.people.new_faces import faces_to_tell_apart
from twinloop.stages.vault.people.record import find_person, read_people
from twinloop.stages.vault.status import status
from twinloop.store.vault.folder import Vault
from twinloop.web.api.shared import Sent, TheJobs, TheSite, held_elsewhere, private
from twinloop.web.jobs import Job, Jobs
from twinloop.web.pictures import photo as photo_of
from twinloop.web.pictures import thumbnail
from twinloop.web.site import Site

router = APIRouter(prefix="/vault")
SMALL = 256


class Folder(Sent):
    """``models_dir``: None = as in the last scan."""

    folder: str
    models_dir: str | None = None


class Who(Sent):
    person: str


class WhichSet(Who):
    """``output``: folder of a training set of the person outside of the vault; "" = the one inside."""

    output: str = ""


@router.get("")
def vault(site: TheSite, jobs: TheJobs) -> dict[str, Any]:
    """Whether there is a vault, what is in it, and the command that works on it; ``process``: of one that was started
    elsewhere.
    """
    job, held = jobs.of(_key(site)), held_elsewhere(site, jobs, _key(site))
    found = {
        "vault": _key(site),
        "job": job.to_json() if job is not None else None,
        "process": None if held is None else held.pid,
    }
    if not site.vault.scan_record.exists():
        return {**found, "status": None}
    with looked_into(site.vault.root) as opened:
        return {**found, "status": status(opened).to_json()}


@router.get("/behind")
def behind(site: TheSite, person: str | None = None) -> dict[str, Any]:
    """What a command has not followed yet: faces that nobody has, and the training sets (of one person; None = of all)
    that `prep` would make otherwise now.
    """
    with looked_into(site.vault.root) as opened:
        ids = None if person is None else {find_person(read_people(opened.vault), person).id}
        sets = outdated(opened, ids)
        new_faces = faces_to_tell_apart(opened.vault, opened.catalog, opened.fingerprint)
    typed = Vault(Path(_key(site)))
    return {
        "new_faces": new_faces,
        "sets": [
            {
                "name": name,
                "person": one.person,
                "output": one.output,
                "changes": one.text,
                "command": typed.command(one.arguments),
            }
            for name, one in sets.items()
        ],
    }


@router.get("/photo")
def photo(sha256: str, site: TheSite, size: int = SMALL) -> Response:
    """One photo of the vault, by its content."""
    with looked_into(site.vault.root) as opened:
        found = opened.catalog.photo(sha256, opened.fingerprint)
        if found is None:
            raise NothingToDo("No such photo in the vault.")
        small = opened.catalog.thumbnail(sha256) if size == SMALL else None
    if small:
        return private(thumbnail(small, found.origin != "real"))
    return private(photo_of([Path(path) for path in found.paths], size, sha256))


@router.post("/scan")
def scan(body: Folder, site: TheSite, jobs: TheJobs) -> dict[str, Any]:
    """Look at the photos of a folder."""
    folder = _typed(body.folder)
    if not folder or not _is_folder(site.home / folder):
        raise InputError(
            f"No folder {body.folder.strip() or '(nothing typed)'}. Type the path of one, as in a terminal."
        )
    models = ["--models-dir", _typed(body.models_dir)] if body.models_dir and body.models_dir.strip() else []
    return _started(site, jobs, ["scan", folder, *models]).to_json()


@router.post("/cluster")
def cluster(site: TheSite, jobs: TheJobs) -> dict[str, Any]:
    """Group the faces by person."""
    return _started(site, jobs, ["cluster"]).to_json()


@router.post("/dedup")
def dedup(site: TheSite, jobs: TheJobs) -> dict[str, Any]:
    """Look for duplicates."""
    return _started(site, jobs, ["dedup"]).to_json()


@router.post("/caption")
def caption(body: Who, site: TheSite, jobs: TheJobs) -> dict[str, Any]:
    """Write the captions of a person."""
    return _started(site, jobs, ["caption", _id(site, body.person)]).to_json()


@router.post("/prep")
def prep(body: WhichSet, site: TheSite, jobs: TheJobs) -> dict[str, Any]:
    """Make the training set of a person; one outside of the vault only where there is one already."""
    person = _id(site, body.person)
    if body.output and Path(body.output) not in folders_outside(site.vault, {person}):
        raise InputError(f"No training set of {person} lies in {body.output}. Nothing was started.")
    return _started(site, jobs, ["prep", person, *(["--output", body.output] if body.output else [])]).to_json()


@router.post("/analyze")
def analyze(body: Who, site: TheSite, jobs: TheJobs) -> dict[str, Any]:
    """Count what the training set of a person lacks."""
    with looked_into(site.vault.root) as opened:
        person = find_person(read_people(opened.vault), body.person)
        folder = opened.vault.person(person.folder_name)
        models = opened.record.models_dir
    if not folder.is_dir():
        raise NothingToDo(f"Nothing is prepared yet. First: twinloop vault prep {person.id}")
    argv = ["analyze", site.show(folder), "--models-dir", models, "--output", site.show(site.vault.gaps(person.id))]
    return jobs.start(_key(site), argv).to_json()


def _typed(text: str) -> str:
    """A path as a command takes it: ``~`` spelled out, and never mistaken for an option."""
    with contextlib.suppress(RuntimeError):  # ~nobody: said below as a folder that is not there
        text = str(Path(text.strip()).expanduser()) if text.strip() else ""
    return f"./{text}" if text.startswith("-") else text


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that no file system takes, a folder that may not be looked into
        return False


def _id(site: Site, text: str) -> str:
    return find_person(read_people(site.vault), text).id


def _started(site: Site, jobs: Jobs, argv: Sequence[str]) -> Job:
    return jobs.start(_key(site), ["vault", *argv, "--vault", str(site.vault_root)])


def _key(site: Site) -> str:
    return site.show(site.vault.root)
