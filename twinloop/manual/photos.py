"""A folder of photos -> what is in it, and gaps.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop import steps
from twinloop.config import Settings
from twinloop.domain.shots import Gap
from twinloop.errors import InputError, NothingToDo
from twinloop.ports import Reporter
from twinloop.stages import analyze
from twinloop.stages.observe import Observer, Seen, observe_files
from twinloop.stages.select import Selection, originals, select, several_people_message
from twinloop.store.atomic import read_json
from twinloop.store.catalog import Catalog
from twinloop.store.images import find_images
from twinloop.store.workspace import GENERATION_METADATA, shown_path


@dataclass(frozen=True)
class Photos:
    """A folder of photos, observed. ``found`` = every file in order; ``selection`` = which of them make the dataset."""

    folder: Path
    found: tuple[Seen, ...]
    selection: Selection


def look_at(folder: Path, settings: Settings, observer: Observer, catalog: Catalog, reporter: Reporter) -> Photos:
    """Observe a folder and select from it as the loop does; unreadable files are skipped by name.

    Raises:
        InputError: no such folder. NothingToDo: nothing in it can be used; says why.
    """
    found = tuple(observe_files(find_images(folder), observer, catalog, reporter, "Observing"))
    for item in found:
        if item.problem:
            reporter.warn(f"skipped {item.path.name}: {item.problem}")
    selection = originals(select(found, steps.rules(settings, observer.likeness)))
    if not selection.photos:
        raise NothingToDo(steps.no_photos_message(str(folder), selection))
    if selection.drawn:
        reporter.line(steps.DRAWN)
    if several := several_people_message(selection.photos, str(folder), observer.likeness):
        reporter.warn(several)
    return Photos(folder, found, selection)


def find_gaps(
    photos: Photos, settings: Settings, observer: Observer, iteration: int
) -> tuple[analyze.Analysis, dict[str, Any]]:
    """The analysis of a folder, and its gaps.json.

    Raises:
        InputError: a wanted share of a facet or value that does not exist.
    """
    analyze.check_shares(observer.facets, settings.analysis.shares)
    seen = [photo.seen for photo in photos.selection.photos]
    result = analyze.analyze(seen, observer.facets, settings.analysis.shares)
    data = analyze.analysis_json(
        result, person=settings.person_name, dataset=shown_path(photos.folder), iteration=iteration,
        left_out=[(shown_path(path), reason) for path, reason in photos.selection.left_out],
        missing=observer.pack.missing, settings=steps.settings_fingerprint(settings),
    )  # fmt: skip
    return result, data


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
