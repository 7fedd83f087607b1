"""Review: the images of a round with what every check measured, the nearest real photos, and a person's word."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response

from twinloop.domain.json_fields import count, entry, entry_or, table, text
from twinloop.domain.records import Dataset
from twinloop.domain.verdicts import Outcome
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.nearest import MeasuredPhotos
from twinloop.stages.review import Review, finish, say, to_look_at, wanted
from twinloop.store.atomic import read_as
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import GENERATION_METADATA, Workspace
from twinloop.web.api.shared import Sent, TheSite, made, private
from twinloop.web.pictures import picture
from twinloop.web.recorded import identity, recorded

router = APIRouter(prefix="/review")
_writing = threading.Lock()
"""Decisions come faster than they are written; each is added to those before it."""
_reading = threading.Lock()
_read: dict[Path, tuple[tuple[object, ...], MeasuredPhotos]] = {}
"""The photos that images were compared with last, by the folder of the run."""


@router.get("")
def images(run: str, iteration: int, site: TheSite) -> dict[str, Any]:
    """All finished images of a round, in the order they were made, and how many were given up before."""
    space = site.run(run)
    verdicts = _verdicts(space, iteration)
    review = Review.read(space.review(iteration), iteration)
    prompts = _made(space, iteration)
    settings = read_as(space.run_record, lambda data: entry_or(data, "settings", table, {}), read=recorded)
    return {
        "run": run,
        "iteration": iteration,
        "finished": review.finished,
        "waits": wanted(settings.get("review", "never"), iteration),
        "rejected_early": _given_up(space, iteration),
        "images": [
            {
                **item,
                "prompt": prompts.get(item["image"], {}).get("prompt", ""),
                "seed": prompts.get(item["image"], {}).get("seed"),
                "said": str(review.opinions[item["image"]].outcome) if item["image"] in review.opinions else None,
            }
            for item in verdicts
        ],
    }


def _verdicts(space: Workspace, iteration: int) -> list[dict[str, Any]]:
    if not space.verdicts(iteration).exists():
        raise NothingToDo(f"Round {iteration} has no verdicts yet.")
    return to_look_at(read_as(space.verdicts(iteration), _looked_at, read=recorded))


def _looked_at(data: Any) -> list[dict[str, Any]]:
    """Verdicts as they lie in the file; only what the page itself asks of them is checked, for each thumbnail anew."""
    found: list[dict[str, Any]] = entry(data, "verdicts", list)
    for item in found:
        entry(item, "image", text)
        entry_or(item, "sha256", text, "")
    return found


def _given_up(space: Workspace, iteration: int) -> int:
    return read_as(space.verdicts(iteration), lambda data: entry_or(data, "rejected_early", count, 0), read=recorded)


def _made(space: Workspace, iteration: int) -> dict[str, dict[str, Any]]:
    """What is on record of the images' making, by their names; nothing where they were made by hand."""
    metadata = space.synthetic(iteration) / GENERATION_METADATA
    return read_as(metadata, _by_file, read=recorded) if metadata.exists() else {}


def _by_file(data: Any) -> dict[str, dict[str, Any]]:
    return {entry(item, "file", text): dict(item) for item in entry(data, "images", list)}


class Opinions(Sent):
    """File name -> ``approved``, ``rejected``, ``unsure``, or null to take it back."""

    run: str
    iteration: int
    opinions: dict[str, Outcome | None]


class Round(Sent):
    run: str
    iteration: int


@router.post("")
def decide(body: Opinions, site: TheSite) -> dict[str, Any]:
    """Write opinions down beside the automatic verdicts."""
    space = site.run(body.run)
    path = space.review(body.iteration)
    known = [item["image"] for item in _verdicts(space, body.iteration)]
    with _writing:
        return say(path, Review.read(path, body.iteration), known, body.opinions).to_json()


@router.post("/finish")
def finish_round(body: Round, site: TheSite) -> dict[str, Any]:
    """Let the run go on."""
    space = site.run(body.run)
    _verdicts(space, body.iteration)  # a round that was never judged has no review to finish
    path = space.review(body.iteration)
    with _writing:
        return finish(path, Review.read(path, body.iteration)).to_json()


@router.get("/nearest")
def nearest(run: str, iteration: int, image: str, site: TheSite, count: int = 3) -> list[dict[str, Any]]:
    """The real photos that are most like one image: by identity where it was measured, else by the picture."""
    space = site.run(run)
    sha256 = next((item["sha256"] for item in _verdicts(space, iteration) if item["image"] == image), None)
    if sha256 is None:
        raise InputError(f"No image {image} in round {iteration}.")
    fingerprint = read_as(space.run_record, lambda data: entry_or(data, "observer", text, ""), read=recorded)
    with Catalog(space.catalog, reading=True) as catalog:
        made_one = catalog.get(sha256, fingerprint)
        found = _measured(space, catalog, fingerprint).nearest(made_one, min(count, 12)) if made_one is not None else ()
    return [
        {"sha256": m.sha256, "name": Path(m.path).name, "similarity": round(value, 4), "by": by}
        for m, value, by in found
    ]


def _measured(space: Workspace, catalog: Catalog, fingerprint: str) -> MeasuredPhotos:
    """What is known of the run's photos; kept for the next image while neither they nor the catalogue change."""
    log = space.catalog.with_name(f"{space.catalog.name}-wal")
    known_by = (fingerprint, *(identity(path) for path in (space.dataset(0), space.catalog, log)))
    with _reading:
        kept = _read.get(space.root)
        if kept is None or kept[0] != known_by:
            _read.clear()  # of one run only: what tells faces apart is not heaped up
            photos = read_as(space.dataset(0), Dataset.from_json, read=recorded).real
            kept = _read[space.root] = known_by, MeasuredPhotos(photos, catalog, fingerprint)
        return kept[1]


@router.get("/picture")
def made_picture(
    run: str, iteration: int, image: str, site: TheSite, size: int = 256, sha256: str | None = None
) -> Response:
    """One image of the round; kept by the browser where the address names its content."""
    space = site.run(run)
    item = next((item for item in _verdicts(space, iteration) if item["image"] == image), None)
    if item is None:
        raise InputError(f"No image {image} in round {iteration}.")
    return made(
        picture(space.synthetic(iteration) / Path(image).name, size, item["sha256"] or None),
        by_content=bool(sha256) and sha256 == item["sha256"],
    )


@router.get("/photo")
def photo(run: str, sha256: str, site: TheSite, size: int = 256) -> Response:
    """One real photo of the run's dataset, by its content."""
    members = read_as(site.run(run).dataset(0), Dataset.from_json, read=recorded).members
    found = next((member for member in members if member.sha256 == sha256), None)
    if found is None:
        raise InputError("No such photo in this run's dataset.")
    return private(picture(site.home / found.path, size, sha256))
