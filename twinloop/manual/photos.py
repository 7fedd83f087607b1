"""A folder of photos -> what is in it, and gaps.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twinloop import steps
from twinloop.config import Settings
from twinloop.domain.records import Dataset
from twinloop.domain.shots import Gap
from twinloop.errors import InputError
from twinloop.ports import Reporter
from twinloop.stages import analyze, select
from twinloop.stages.observe import Observer, Seen
from twinloop.stages.select import Photos
from twinloop.stages.selection_rules import Photo
from twinloop.store.atomic import read_as, read_json
from twinloop.store.pictures.dataset_folders import PHOTOS_ONLY
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import GENERATION_METADATA, Workspace, shown_path


def look_at(folder: Path, settings: Settings, observer: Observer, catalog: Catalog, reporter: Reporter) -> Photos:
    """Observe a folder and select from it as the loop does, and tell what was found.

    Raises:
        as `select.look_at`.
    """
    photos = steps.look_at_folder(folder, settings, observer, catalog, reporter)
    found, character = photos.selection, settings.subject == "character"
    if made := select.made_message(len(found.photos), found.made_elsewhere, found.all_made, character):
        reporter.line(made)
    if few := select.left_out_faceless_message(photos):
        reporter.warn(few)
    if observer.pack.faceless:
        reporter.line(steps.NO_FACES)
    return photos


def look_at_run(
    space: Workspace, settings: Settings, observer: Observer, catalog: Catalog, reporter: Reporter
) -> Photos:
    """Observe the photos that a run began with, whatever lies in its folder now.

    Raises:
        StateError: one of them is gone or was changed, or the record of them is damaged.
    """
    path = space.dataset(0)
    dataset, beside = read_as(path, Dataset.from_json), read_as(path, steps.Beside.from_json)
    seen = steps.observations_of(dataset, space, observer, catalog, reporter)
    places = [Path(member.path) for member in dataset.members]
    photos = tuple(Photo(place, one) for place, one in zip(places, seen, strict=True))
    left_out = tuple((Path(place), reason) for place, reason in beside.left_out)
    selection = select.Selection(photos, left_out, beside.drawn, beside.made_elsewhere)
    found = tuple(Seen(photo.path, photo.seen) for photo in photos)
    return Photos(Path(settings.dataset_dir), found, selection, PHOTOS_ONLY)


def find_gaps(
    photos: Photos, settings: Settings, observer: Observer, iteration: int
) -> tuple[analyze.Analysis, dict[str, Any]]:
    """The analysis of a folder, and its gaps.json.

    Raises:
        InputError: a wanted share of a facet or value that does not exist.
    """
    analyze.check_shares(observer.facets, settings.analysis.shares, settings.validation.faces)
    seen = [photo.seen for photo in photos.selection.photos]
    left_out = [(shown_path(path), reason) for path, reason in photos.selection.left_out]
    return steps.analysed(seen, photos.folder, left_out, settings, observer, iteration)


def read_gaps(path: Path) -> tuple[tuple[Gap, ...], dict[str, Any]]:
    """The gaps of a file, and all that stands beside them.

    Raises:
        InputError: missing, not JSON, or not a gap analysis; says what is wrong with it.
    """
    try:
        data = json.loads(path.read_bytes())
        return analyze.gaps_from_json(data), data
    except FileNotFoundError:
        problem = f"Gap analysis not found: {path}."
    except (ValueError, RecursionError) as error:
        problem = f"{path} is not a valid gap analysis: {error}."
    except OSError as error:
        problem = f"Cannot read {path}: {error.strerror}."
    raise InputError(f"{problem} Make one: python gap_analysis.py DATASET --output gaps.json")


def recorded_dataset(folder: Path) -> Path | None:
    """The photos that a folder of made images was made for, when its record names them and they are there."""
    metadata = folder / GENERATION_METADATA
    if not metadata.is_file():
        return None
    data = read_json(metadata)
    named = data.get("dataset") if isinstance(data, dict) else None
    return Path(named) if isinstance(named, str) and Path(named).is_dir() else None
