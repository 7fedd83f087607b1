"""Artefacts -> the record of a run. Any of them may be missing; a damaged one is an error that names the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from twinloop.domain.flattened import flattened
from twinloop.domain.records import Dataset, LoRA, PanelScore
from twinloop.domain.shots import Shot
from twinloop.domain.statistics import Estimate
from twinloop.domain.vault import NOT_RECORDED, Consent
from twinloop.domain.verdicts import Verdict
from twinloop.errors import NothingToDo
from twinloop.report.model import IdentityRecord, RunRecord, Survey, Versions, out_of_choice
from twinloop.stages import decide
from twinloop.stages.analyze import FacetCount, ValueCount, gaps_from_json
from twinloop.stages.history import RecordedRound, recorded_rounds
from twinloop.stages.identity import reference_from_json
from twinloop.stages.pick import record_of
from twinloop.stages.review import Review
from twinloop.store.atomic import read_as
from twinloop.store.run.workspace import Workspace

T = TypeVar("T")
_REMEDY = "Move it away and run the loop again."


def read_run(workspace: Workspace) -> RunRecord:
    """Read every artefact that is there.

    Raises:
        NothingToDo: there is no run in the folder. StateError: an artefact is damaged; names the file.
    """
    if not (workspace.run_record.exists() or workspace.history.exists() or workspace.gaps(1).exists()):
        raise NothingToDo(
            f"No run in {workspace.root}: it holds neither run.json nor iteration_history.json. Start one first."
        )
    if not workspace.history.exists():
        return _record(workspace, {})
    return read_as(workspace.history, lambda history: _record(workspace, history), _REMEDY)


def read_versions(workspace: Workspace) -> Versions:
    """How the versions measured, and nothing else: a file for each of them, of all those that a run leaves behind.

    Raises:
        StateError: as `read_run`.
    """

    def versions(history: Mapping[str, Any]) -> Versions:
        scores = _scores(workspace)
        rounds = recorded_rounds(history)
        best = _best(history, scores, rounds)
        return Versions(scores, rounds, best, _against_v1(history, best))

    return read_as(workspace.history, versions, _REMEDY) if workspace.history.exists() else versions({})


def _record(workspace: Workspace, history: Mapping[str, Any]) -> RunRecord:
    settings: dict[str, str] = _read(workspace.run_record, _settings, {})
    scores = _scores(workspace)
    rounds = recorded_rounds(history)
    best = _best(history, scores, rounds)
    return RunRecord(
        person=str(history.get("person") or settings.get("person_name", "")),
        trigger=settings.get("person_trigger", ""),
        base_model=str(history.get("base_model") or settings.get("base_model", "")),
        settings=settings,
        detectors=_read(workspace.run_record, lambda data: str(data.get("observer", "")), ""),
        consent=_read(workspace.dataset(0), _consent, NOT_RECORDED.text),
        photos=_read(workspace.dataset(0), Dataset.from_json, None),
        left_out=_read(workspace.dataset(0), _left_out, ()),
        identity=_read(workspace.identity, _identity, None),
        surveys=_numbered(workspace.gaps, _survey),
        verdicts=_reviewed(workspace),
        datasets=_numbered(workspace.dataset, Dataset.from_json),
        panel=_read(workspace.panel, _shots, ()),
        scores=scores,
        loras=_numbered(workspace.lora_record, LoRA.from_json)
        or tuple(LoRA.from_json(item) for item in history.get("loras", ())),
        rounds=rounds,
        best=best,
        gaps_left=_whole(history.get("gaps_left")),
        against_v1=_against_v1(history, best),
        stop=None if history.get("stop") is None else decide.Stop.from_json(history["stop"]),
        picked=_read(record_of(workspace), lambda data: int(data["version"]), None),
    )


def _consent(data: Any) -> str:
    return Consent.from_json(data["consent"]).text


def _read(path: Path, parse: Callable[[Any], T], missing: T) -> T:
    return read_as(path, parse, _REMEDY) if path.exists() else missing


def _numbered(path_of: Callable[[int], Path], parse: Callable[[Any], T]) -> tuple[T, ...]:
    """Artefacts 1, 2, 3... up to the first that is not there."""
    found: list[T] = []
    while (path := path_of(len(found) + 1)).exists():
        found.append(read_as(path, parse, _REMEDY))
    return tuple(found)


def _scores(workspace: Workspace) -> tuple[PanelScore, ...]:
    return _numbered(workspace.panel_score, PanelScore.from_json)


def _settings(data: Any) -> dict[str, str]:
    return _as_text(flattened(data.get("settings", {})))


def _as_text(settings: Mapping[str, Any]) -> dict[str, str]:
    return {name: "default" if value is None else str(value) for name, value in settings.items()}


def _left_out(data: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(item["path"]), str(item["reason"])) for item in data["left_out"])


def _survey(data: Any) -> Survey:
    facets = tuple(_facet(name, item) for name, item in data.get("facets", {}).items())
    lacking = tuple((str(name), str(why)) for name, why in data.get("not_measured", {}).items())
    return Survey(
        int(data.get("iteration", 1)), int(data.get("images", 0)), facets, gaps_from_json(data), lacking,
        tuple(map(str, data.get("missing_models", ()))), tuple(map(str, data.get("notes", ()))),
    )  # fmt: skip


def _facet(name: str, data: Any) -> FacetCount:
    values = tuple(
        ValueCount(
            value, int(item["count"]), int(item["measured"]), None if item["target"] is None else float(item["target"])
        )
        for value, item in data["values"].items()
    )
    return FacetCount(name, values, int(data["measured"]), int(data["not_measured"]), "")


def _reviewed(workspace: Workspace) -> tuple[tuple[Verdict, ...], ...]:
    """The verdicts of every round, with a person's word over them where a review was finished."""
    rounds = []
    for iteration, verdicts in enumerate(_numbered(workspace.verdicts, _verdicts), 1):
        review = Review.read(workspace.review(iteration), iteration)
        said = review.opinions if review.finished else {}
        rounds.append(
            tuple(dataclasses.replace(v, human=said[v.image].outcome) if v.image in said else v for v in verdicts)
        )
    return tuple(rounds)


def _verdicts(data: Any) -> tuple[Verdict, ...]:
    return tuple(Verdict.from_json(item) for item in data["verdicts"])


def _shots(data: Any) -> tuple[Shot, ...]:
    return tuple(Shot.from_json(item) for item in data["shots"])


def _identity(data: Any) -> IdentityRecord:
    known = reference_from_json(data)
    if known is None:
        return IdentityRecord(0, frozenset(), {}, None, None, str(data["why"]))
    return IdentityRecord(
        len(known.sha256), known.held_out, known.bands, known.overall, known.highest_pair, "", known.unlike_the_rest
    )


def _best(history: Mapping[str, Any], scores: Sequence[PanelScore], rounds: Sequence[RecordedRound]) -> int | None:
    """The best version of a finished run as recorded; while it goes on, the best of what is measured: a version can be
    newer than the record.
    """
    if history.get("stop") is not None:
        return int(history["best_version"])
    standing = [score for score in scores if "overall" in score.metrics and score.version not in out_of_choice(rounds)]
    if standing:
        return decide.best(standing).version
    return _whole(history.get("best_version"))


def _against_v1(history: Mapping[str, Any], best: int | None) -> dict[str, Estimate]:
    """The recorded changes, if they are of the version that is the best now."""
    if _whole(history.get("best_version")) != best:
        return {}
    return {str(name): Estimate.from_json(item) for name, item in history.get("best_against_v1", {}).items()}


def _whole(data: Any) -> int | None:
    return None if data is None else int(data)
