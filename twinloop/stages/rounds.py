"""Rounds and the result of a run, and the record of them: iteration_history.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from twinloop.domain.json_fields import count, entry, list_of, optional, whole
from twinloop.domain.records import LoRA, PanelScore
from twinloop.domain.shots import Gap
from twinloop.domain.statistics import wilson
from twinloop.stages import decide
from twinloop.stages.assess import compare
from twinloop.stages.decide import RoundFacts, Stop
from twinloop.stages.history import ROUNDS, RecordedRound
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


def as_recorded(done: Round, kept: RecordedRound) -> Round:
    """The round with what was found and decided of it when it ended: later rounds build on that, also where this
    version would decide otherwise, or where files were changed since.
    """
    facts = replace(kept.facts, trained=done.facts.trained)
    return replace(
        done, facts=facts, gaps=kept.gaps, tally=kept.tally, merged=kept.merged, rolled_back=kept.rolled_back
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
        ROUNDS: [_round_json(entry) for entry in result.rounds],
        "loras": [lora.to_json() for lora in result.loras],
        "panel": [score.to_json() for score in result.scores],
        "best_version": result.best,
        "gaps_left": result.gaps_left,
        "best_against_v1": {name: estimate.to_json() for name, estimate in change.items() if estimate is not None},
        "stop": None if result.stop is None else result.stop.to_json(),
    }


def result_from_json(data: Any) -> RunResult:
    """What `history_json` wrote.

    Raises:
        ValueError: it is no such record; names the field.
    """
    loras = entry(data, "loras", list_of(LoRA.from_json))
    scores = entry(data, "panel", list_of(PanelScore.from_json))
    rounds = entry(data, ROUNDS, list_of(lambda item: _round_from_json(item, loras, scores)))
    stop, left = entry(data, "stop", optional(Stop.from_json)), entry(data, "gaps_left", optional(count))
    return RunResult(stop, entry(data, "best_version", whole), loras, scores, rounds, left)


def _round_from_json(data: Any, loras: Sequence[LoRA], scores: Sequence[PanelScore]) -> Round:
    kept = RecordedRound.from_json(data)
    return Round(
        kept.facts, kept.gaps, kept.tally, kept.merged, _of_version(loras, kept.version),
        _of_version(scores, kept.version), kept.started_from, kept.rolled_back,
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
