"""Dataset -> gaps_iterN.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.config import Settings
from twinloop.domain.json_fields import entry_or, table, table_of, text
from twinloop.domain.model_roles import BLIND_BY_CHOICE, UNREAD_ON_DRAWINGS
from twinloop.domain.observation import Observation
from twinloop.domain.records import Dataset
from twinloop.domain.shots import Gap
from twinloop.domain.wording import plural
from twinloop.errors import StateError
from twinloop.stages import analyze
from twinloop.stages.observe import Observer
from twinloop.stages.rounds import Round
from twinloop.steps.photos import Beside, observations
from twinloop.steps.run import Run
from twinloop.steps.stage_options import settings_fingerprint
from twinloop.store.atomic import read_as
from twinloop.store.run.workspace import Workspace, shown_path

_CORRECT = "Correct it, or delete it and run the same command again."


def analysed(
    seen: Sequence[Observation],
    folder: Path,
    left_out: Sequence[tuple[str, str]],
    settings: Settings,
    observer: Observer,
    iteration: int,
) -> tuple[analyze.Analysis, dict[str, Any]]:
    """The analysis of pictures, and its gaps.json.

    Args:
        folder: of the photos. left_out: (path, reason) of those that are not among the pictures.
    """
    result = analyze.analyze(seen, observer.facets, settings.analysis.shares, settings.subject, observer.pack.unread)
    data = analyze.analysis_json(
        result,
        person=settings.person_name,
        dataset=shown_path(folder),
        iteration=iteration,
        left_out=left_out,
        missing=observer.pack.missing,
        settings=settings_fingerprint(settings),
    )
    return result, data


def find_gaps(run: Run, dataset: Dataset, iteration: int) -> tuple[Gap, ...]:
    """gaps_iterN.json."""

    def make() -> Any:
        seen, folder = observations(run, dataset), Path(run.settings.dataset_dir)
        left_out = read_as(run.workspace.dataset(0), Beside.from_json).left_out
        return analysed(seen, folder, left_out, run.settings, run.toolbox.observer, iteration)[1]

    path = run.workspace.gaps(iteration)
    data = run.artefact(f"iter{iteration}.gaps", path, make, editable=True)
    try:
        gaps = analyze.gaps_from_json(data)
    except ValueError as error:
        raise StateError(f"{path}: {error}. {_CORRECT}") from None
    if iteration == 1:
        _say_not_measured(run, path)
    return gaps


def _say_not_measured(run: Run, path: Path) -> None:
    """What is not measured and why, and where faces seem to be drawn ones; where gaps_iter1.json says so, which may
    have been written by hand.
    """
    blind, alike = read_as(path, _not_measured, _CORRECT)
    unread = [name for name, why in blind.items() if why == UNREAD_ON_DRAWINGS]
    if unread:
        run.say(
            f"Not measured: {', '.join(unread)} ({UNREAD_ON_DRAWINGS}). To measure it all the same, name the facet in"
            " analysis.facets."
        )
    for name, why in blind.items():
        if name not in unread and why not in BLIND_BY_CHOICE:
            run.toolbox.reporter.warn(f"{name}: not measured ({why})")
    if run.settings.subject == "person" and alike:
        run.say(f"Note: {alike}")


def _not_measured(data: Any) -> tuple[Mapping[str, str], str]:
    """Facet -> why it is not measured, and what is to be said where all faces read alike."""
    return entry_or(data, "not_measured", table_of(text), {}), analyze.all_alike(entry_or(data, "facets", table, {}))


@dataclass(frozen=True)
class Measured:
    """What an analysis could tell.

    ``lacking``: facets, or values as ``facet: value``, that are wanted and were not measured -> why; ``facets``: number
    of those that were.
    """

    lacking: dict[str, str]
    facets: int


def what_was_measured(space: Workspace, iteration: int) -> Measured:
    """As gaps_iterN.json says, which a user may have corrected."""
    return read_as(space.gaps(iteration), _measured, _CORRECT)


def _measured(data: Any) -> Measured:
    facets: dict[str, Any] = data.get("facets", {})
    lacking = {}
    for name, why in data.get("not_measured", {}).items():
        facet, _, value = name.partition(": ")
        values = facets.get(facet, {}).get("values", {})
        if any(one.get("target") for one in ([values.get(value, {})] if value else values.values())):
            lacking[name] = str(why)
    return Measured(lacking, sum(bool(facet.get("measured")) for facet in facets.values()))


def say_gaps(run: Run, gaps: Sequence[Gap], rounds: Sequence[Round]) -> None:
    """The head of an iteration."""
    fewer = bool(rounds) and len(gaps) < rounds[-1].facts.gaps
    run.say(f"\nIteration {len(rounds) + 1}:")
    run.say(f"  ✓ Gap Analysis: {plural(len(gaps), 'gap')} found{' (improving!)' if fewer else ''}")
