"""What a run left behind, read from its artefacts into frozen values. Any of them may be missing: a run can be looked at half-way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from twinloop.domain.records import Dataset, LoRA, PanelScore
from twinloop.domain.shots import Gap, Shot
from twinloop.domain.statistics import Estimate
from twinloop.domain.vault import NOT_RECORDED, Consent
from twinloop.domain.verdicts import CheckResult, Verdict
from twinloop.errors import NothingToDo, StateError
from twinloop.stages import decide
from twinloop.stages.analyze import FacetCount, ValueCount, gaps_from_json
from twinloop.stages.review import Review
from twinloop.store.atomic import read_json
from twinloop.store.workspace import Workspace

T = TypeVar("T")


@dataclass(frozen=True)
class Survey:
    """One gaps_iterN.json: what the dataset held when round N began. ``not_measured``: (facet, or "facet: value", why)."""

    iteration: int
    images: int
    facets: tuple[FacetCount, ...]
    gaps: tuple[Gap, ...]
    not_measured: tuple[tuple[str, str], ...]
    missing_models: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class FinishedRound:
    """One entry of ``iterations`` in iteration_history.json. ``version`` = the LoRA trained at its end."""

    iteration: int
    gap_count: int
    generated: int
    approved: int
    rejected: int
    unsure: int
    approval: Estimate
    quality: float
    merged: int
    generated_with: str
    version: int
    improvement: Estimate | None
    drifted: tuple[str, ...]
    rolled_back: bool


@dataclass(frozen=True)
class Stop:
    """Why the loop ended."""

    rule: str
    reason: str
    converged: bool


@dataclass(frozen=True)
class IdentityRecord:
    """The frozen identity, without its embeddings. ``bands``: head angle -> (mean, standard deviation, number of photos).

    Attributes:
        why: why there is none; empty when it was measured.
    """

    photos: int
    held_out: frozenset[str]
    bands: Mapping[str, tuple[float, float, int]]
    overall: tuple[float, float, int] | None
    highest_pair: float | None
    why: str


@dataclass(frozen=True)
class RunRecord:
    """A whole run, finished or not.

    Attributes:
        settings: flat name -> value, as in run.json. detectors: fingerprint of the models that measured.
        consent: on what ground the photos may be used, in words. photos: the real photos in use (None before they were observed). left_out: (path, reason).
        datasets, verdicts: by round, from 1. scores: by version, from 1.
        best: version with the highest overall score so far. against_v1: metric -> paired change of the best version.
    """

    person: str
    trigger: str
    base_model: str
    settings: Mapping[str, str]
    detectors: str
    consent: str
    photos: Dataset | None
    left_out: tuple[tuple[str, str], ...]
    identity: IdentityRecord | None
    surveys: tuple[Survey, ...]
    verdicts: tuple[tuple[Verdict, ...], ...]
    datasets: tuple[Dataset, ...]
    panel: tuple[Shot, ...]
    scores: tuple[PanelScore, ...]
    loras: tuple[LoRA, ...]
    rounds: tuple[FinishedRound, ...]
    best: int | None
    gaps_left: int | None
    against_v1: Mapping[str, Estimate]
    stop: Stop | None

    def round_of(self, version: int) -> FinishedRound | None:
        """The finished round that trained this version; None for version 1."""
        return next((entry for entry in self.rounds if entry.version == version), None)

    def remark(self, version: int) -> str:
        """What is special about a version: ``best``, ``rolled back`` (and not best), or nothing."""
        if version == self.best:
            return "best"
        entry = self.round_of(version)
        return "rolled back" if entry is not None and entry.rolled_back else ""


def read_run(workspace: Workspace) -> RunRecord:
    """Read every artefact that is there.

    Raises:
        NothingToDo: there is no run in the folder. StateError: an artefact is damaged; names the file.
    """
    if not (workspace.run_record.exists() or workspace.history.exists() or workspace.gaps(1).exists()):
        raise NothingToDo(
            f"No run in {workspace.root}: it holds neither run.json nor iteration_history.json. Start one first."
        )
    started: dict[str, Any] = _read(workspace.run_record, lambda data: data, {})
    history: dict[str, Any] = _read(workspace.history, lambda data: data, {})
    settings = _flat(started.get("settings", {}))
    photos = _read(workspace.dataset(0), Dataset.from_json, None)
    scores = _numbered(workspace.panel_score, PanelScore.from_json)
    with _shape_of(workspace.history):
        return RunRecord(
            person=str(history.get("person") or settings.get("person_name", "")), trigger=settings.get("person_trigger", ""),
            base_model=str(history.get("base_model") or settings.get("base_model", "")), settings=settings,
            detectors=str(started.get("observer", "")), consent=_read(workspace.dataset(0), _consent, NOT_RECORDED.text),
            photos=photos, left_out=_read(workspace.dataset(0), _left_out, ()),
            identity=_read(workspace.identity, _identity, None), surveys=_numbered(workspace.gaps, _survey),
            verdicts=_reviewed(workspace), datasets=_numbered(workspace.dataset, Dataset.from_json),
            panel=_read(workspace.panel, _shots, ()), scores=scores,
            loras=_numbered(workspace.lora_record, LoRA.from_json) or tuple(LoRA.from_json(item) for item in history.get("loras", ())),
            rounds=tuple(_round(item) for item in history.get("iterations", ())),
            best=_best(history, scores), gaps_left=_whole(history.get("gaps_left")),
            against_v1={str(name): Estimate.from_json(item) for name, item in history.get("best_against_v1", {}).items()},
            stop=_stop(history.get("stop")),
        )  # fmt: skip


def _consent(data: Any) -> str:
    return Consent.from_json(data.get("consent")).text


@contextmanager
def _shape_of(path: Path) -> Iterator[None]:
    """Turn "this JSON is not what a stage writes" into an error that names the file."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StateError(
            f"{path} does not hold what this step writes ({type(error).__name__}: {error}). Move it away and run the loop again."
        ) from error


def _read(path: Path, parse: Callable[[Any], T], missing: T) -> T:
    if not path.exists():
        return missing
    data = read_json(path)
    with _shape_of(path):
        return parse(data)


def _numbered(path_of: Callable[[int], Path], parse: Callable[[Any], T]) -> tuple[T, ...]:
    """Artefacts 1, 2, 3... up to the first that is not there."""
    found: list[T] = []
    while (path := path_of(len(found) + 1)).exists():
        data = read_json(path)
        with _shape_of(path):
            found.append(parse(data))
    return tuple(found)


def _flat(data: Any, prefix: str = "") -> dict[str, str]:
    if not isinstance(data, dict):
        return {prefix: "default" if data is None else str(data)}
    return {
        name: value
        for key, item in data.items()
        for name, value in _flat(item, f"{prefix}.{key}" if prefix else str(key)).items()
    }


def _left_out(data: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(item["path"]), str(item["reason"])) for item in data.get("left_out", ()))


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
    return tuple(
        Verdict(
            item["image"],
            item["sha256"],
            item["type"],
            item["target"],
            tuple(CheckResult.from_json(check) for check in item["checks"]),
            early=item.get("rejected_early"),
        )
        for item in data["verdicts"]
    )


def _shots(data: Any) -> tuple[Shot, ...]:
    return tuple(Shot.from_json(item) for item in data["shots"])


def _identity(data: Any) -> IdentityRecord:
    if not data.get("measured"):
        return IdentityRecord(0, frozenset(), {}, None, None, str(data.get("why", "not measured")))
    bands = {str(name): (float(mean), float(spread), int(n)) for name, (mean, spread, n) in data["bands"].items()}
    mean, spread, n = data["overall"]
    return IdentityRecord(
        len(data["photos"]), frozenset(data["held_out"]), bands, (float(mean), float(spread), int(n)), float(data["highest_pair"]), ""
    )  # fmt: skip


def _round(data: Any) -> FinishedRound:
    gain = data["improvement"]
    return FinishedRound(
        iteration=int(data["iteration"]), gap_count=int(data["gap_count"]), generated=int(data["generated"]), approved=int(data["approved"]),
        rejected=int(data["rejected"]), unsure=int(data["unsure"]), approval=Estimate.from_json(data["approval_rate"]),
        quality=float(data["quality_score"]), merged=int(data["merged"]), generated_with=str(data["generated_with"]),
        version=int(data["lora_version"]), improvement=None if gain is None else Estimate.from_json(gain),
        drifted=tuple(map(str, data["drifted"])), rolled_back=bool(data["rolled_back"]),
    )  # fmt: skip


def _stop(data: Any) -> Stop | None:
    return None if data is None else Stop(str(data["rule"]), str(data["reason"]), bool(data["converged"]))


def _best(history: Mapping[str, Any], scores: Sequence[PanelScore]) -> int | None:
    """The best version as recorded; before anything is recorded, the best of what is measured."""
    if "best_version" in history:
        return int(history["best_version"])
    measured = [score for score in scores if "overall" in score.metrics]
    return decide.best(measured).version if measured else None


def _whole(data: Any) -> int | None:
    return None if data is None else int(data)
