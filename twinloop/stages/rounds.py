"""Rounds and the result of a run, and the record of them: iteration_history.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from twinloop.domain.records import LoRA, PanelScore
from twinloop.domain.shots import Gap
from twinloop.domain.statistics import Estimate, wilson
from twinloop.stages import decide
from twinloop.stages.analyze import gaps_from_json
from twinloop.stages.assess import compare
from twinloop.stages.decide import RoundFacts, Stop
from twinloop.stages.validate import Tally

T = TypeVar("T", LoRA, PanelScore)


@dataclass(frozen=True)
class Round:
    """One finished turn. ``started_from`` = version of the LoRA that made its images."""

    facts: RoundFacts
    gaps: tuple[Gap, ...]
    tally: Tally
    merged: int
    lora: LoRA
    score: PanelScore
    started_from: int
    rolled_back: bool


@dataclass(frozen=True)
class RunResult:
    """What a run comes to: why it stopped, which version is best, every LoRA with its score, every round."""

    stop: Stop | None
    best: int
    loras: tuple[LoRA, ...]
    scores: tuple[PanelScore, ...]
    rounds: tuple[Round, ...]
    gaps_left: int | None


def finished_round(
    iteration: int, gaps: Sequence[Gap], tally: Tally, merged: int, lora: LoRA, before: PanelScore, score: PanelScore
) -> Round:
    """Put a round together; it is rolled back when a watched metric got worse beyond its interval."""
    trained = lora.version != before.version
    gain, drifted = (decide.improvement(before, score), decide.drift(before, score)) if trained else (None, ())
    facts = RoundFacts(iteration, len(gaps), tally.approved, tally.total, gain, drifted, trained)
    return Round(facts, tuple(gaps), tally, merged, lora, score, before.version, rolled_back=bool(drifted))


def as_recorded(done: Round, entry: Mapping[str, Any]) -> Round:
    """The round with what was found and decided of it when it ended: later rounds build on that, also where this
    version would decide otherwise, or where files were changed since.
    """
    counts, gain = _tally_from_json(entry), entry["improvement"]
    facts = replace(
        done.facts,
        gaps=int(entry["gap_count"]),
        approved=counts.approved,
        total=counts.total,
        improvement=None if gain is None else Estimate.from_json(gain),
        drifted=tuple(entry["drifted"]),
    )
    gaps = gaps_from_json({"recommendations": entry["gaps"]})
    return replace(
        done, facts=facts, gaps=gaps, tally=counts, merged=int(entry["merged"]), rolled_back=bool(entry["rolled_back"])
    )


def standing(scores: Sequence[PanelScore], rounds: Sequence[Round]) -> list[PanelScore]:
    """The scores of the LoRAs that may be used: a version whose round was rolled back is out,
    however high it scores.
    """
    rolled_back = {entry.lora.version for entry in rounds if entry.rolled_back}
    return [score for score in scores if score.version not in rolled_back]


def history_json(result: RunResult, person: str, base_model: str) -> dict[str, Any]:
    """iteration_history.json: the complete metrics of a run, finished or not (then ``stop`` is null)."""
    first, best = result.scores[0], next(score for score in result.scores if score.version == result.best)
    change = {name: compare(first, best, name) for name in best.metrics} if best.version != first.version else {}
    return {
        "person": person,
        "base_model": base_model,
        "iterations": [_round_json(entry) for entry in result.rounds],
        "loras": [lora.to_json() for lora in result.loras],
        "panel": [score.to_json() for score in result.scores],
        "best_version": result.best,
        "gaps_left": result.gaps_left,
        "best_against_v1": {name: estimate.to_json() for name, estimate in change.items() if estimate is not None},
        "stop": None if result.stop is None else result.stop.to_json(),
    }


def result_from_json(data: Mapping[str, Any]) -> RunResult:
    """What `history_json` wrote.

    Raises:
        KeyError, TypeError, ValueError: it is no such record.
    """
    loras = tuple(LoRA.from_json(item) for item in data["loras"])
    scores = tuple(PanelScore.from_json(item) for item in data["panel"])
    rounds = tuple(_round_from_json(item, loras, scores) for item in data["iterations"])
    stop = None if data["stop"] is None else Stop.from_json(data["stop"])
    return RunResult(stop, int(data["best_version"]), loras, scores, rounds, data["gaps_left"])


def _round_from_json(data: Mapping[str, Any], loras: Sequence[LoRA], scores: Sequence[PanelScore]) -> Round:
    version, started_from = int(data["lora_version"]), int(str(data["generated_with"]).removeprefix("v"))
    counts, gain = _tally_from_json(data), data["improvement"]
    facts = RoundFacts(
        int(data["iteration"]), int(data["gap_count"]), counts.approved, counts.total,
        None if gain is None else Estimate.from_json(gain), tuple(data["drifted"]), trained=version != started_from,
    )  # fmt: skip
    return Round(
        facts, gaps_from_json({"recommendations": data["gaps"]}), counts, int(data["merged"]),
        _of_version(loras, version), _of_version(scores, version), started_from, bool(data["rolled_back"]),
    )  # fmt: skip


def _tally_from_json(data: Mapping[str, Any]) -> Tally:
    return Tally(
        int(data["approved"]), int(data["rejected"]), int(data["unsure"]), float(data["quality_score"]),
        int(data.get("rejected_early", 0)),
    )  # fmt: skip


def _of_version(things: Sequence[T], version: int) -> T:
    """Raises ValueError: there is none."""
    found = [thing for thing in things if thing.version == version]
    if not found:
        raise ValueError(f"no version {version}")
    return found[0]


def _round_json(entry: Round) -> dict[str, Any]:
    facts, counts = entry.facts, entry.tally
    return {
        "iteration": facts.iteration,
        "gap_count": facts.gaps,
        "gaps": [gap.to_json() for gap in entry.gaps],
        "generated": counts.total,
        "approved": counts.approved,
        "rejected": counts.rejected,
        "unsure": counts.unsure,
        **({"rejected_early": counts.early} if counts.early else {}),
        "approval_rate": wilson(counts.approved, counts.total).to_json(),
        "quality_score": round(counts.quality, 4),
        "merged": entry.merged,
        "generated_with": f"v{entry.started_from}",
        "lora_version": entry.lora.version,
        "lora": entry.lora.path,
        "panel": {name: estimate.to_json() for name, estimate in entry.score.metrics.items()},
        "improvement": None if facts.improvement is None else facts.improvement.to_json(),
        "drifted": list(facts.drifted),
        "rolled_back": entry.rolled_back,
    }
