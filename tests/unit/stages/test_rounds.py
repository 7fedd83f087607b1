"""Rounds, and the record of them."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.unit.things import gap, score
from twinloop.domain.records import LoRA
from twinloop.domain.statistics import Estimate
from twinloop.stages.decide import NO_GAPS
from twinloop.stages.history import RecordedRound
from twinloop.stages.rounds import Round, RunResult, as_recorded, finished_round, history_json, standing
from twinloop.stages.validate import Tally


def lora(version: int) -> LoRA:
    return LoRA(f"lora_v{version}.safetensors", version, "ab", "nano", "id", "nano", 10, 0, 0.1)


def finished(number: int, after: float, before: float = 0.5) -> Round:
    def scores(version: int, level: float) -> dict[str, list[float]]:
        return {
            name: [level + 0.01 * (n % 3) for n in range(12)]
            for name in ("identity", "quality", "diversity", "overall")
        }

    return finished_round(
        number,
        [gap()],
        Tally(12, 2, 1, 0.8),
        10,
        lora(number + 1),
        score(number, **scores(number, before)),
        score(number + 1, **scores(number + 1, after)),
    )


def test_a_better_round_goes_on_and_a_worse_one_is_rolled_back() -> None:
    better, worse = finished(1, 0.6), finished(1, 0.3)
    assert not better.rolled_back and better.facts.improvement is not None and better.facts.improvement.value > 0.15
    assert worse.rolled_back and set(worse.facts.drifted) == {"identity", "diversity", "quality"}
    assert better.started_from == 1


def test_without_a_new_lora_nothing_is_compared() -> None:
    same = score(1, overall=[0.5, 0.6, 0.7])
    idle = finished_round(1, [gap()], Tally(3, 2, 1, 0.8), 0, lora(1), same, same)
    assert idle.facts.improvement is None and not idle.facts.trained and not idle.rolled_back


def test_a_rolled_back_version_cannot_be_the_best() -> None:
    rounds = (finished(1, 0.3), finished(2, 0.6))
    scores = [score(1, overall=[0.5]), score(2, overall=[0.9]), score(3, overall=[0.6])]
    assert [kept.version for kept in standing(scores, rounds)] == [1, 3]


def test_the_history_tells_the_whole_run() -> None:
    rounds = (finished(1, 0.6), finished(2, 0.7, before=0.6))
    scores = (score(1, overall=[0.5, 0.5]), score(2, overall=[0.6, 0.6]), score(3, overall=[0.7, 0.7]))
    outcome = RunResult(NO_GAPS, 3, (lora(1), lora(2), lora(3)), scores, rounds, 0)
    data = json.loads(json.dumps(history_json(outcome, "ana", "nano"), allow_nan=False))
    assert data["stop"]["rule"] == "no_gaps" and data["stop"]["converged"] is True
    assert data["best_version"] == 3
    assert data["best_against_v1"]["overall"]["value"] == 0.2
    first = data["iterations"][0]
    assert (first["gap_count"], first["generated"], first["approved"], first["merged"]) == (1, 15, 12, 10)
    assert first["approval_rate"]["low"] < 0.8 < first["approval_rate"]["high"]
    assert first["quality_score"] == 0.8 and first["generated_with"] == "v1" and first["lora_version"] == 2


def test_an_unfinished_run_has_no_stop_and_a_best_v1_no_gain() -> None:
    data = history_json(RunResult(None, 1, (lora(1),), (score(1, overall=[0.5]),), (), 3), "ana", "nano")
    assert (data["stop"], data["best_against_v1"], data["iterations"], data["gaps_left"]) == (None, {}, [], 3)


def test_what_was_decided_of_a_round_stays_so() -> None:
    """Later rounds lie on disk that build on it: another version of the statistics must not undo it."""
    done = finished(1, 0.6)
    scores = (score(1, overall=[0.5]), score(2, overall=[0.6]))
    (entry,) = history_json(RunResult(None, 1, (lora(1), lora(2)), scores, (done,), 3), "ana", "nano")["iterations"]
    entry |= {
        "improvement": {"value": -0.1, "low": -0.2, "high": -0.05, "n": 6},
        "drifted": ["quality"],
        "rolled_back": True,
    }
    changed = replace(done, gaps=(), tally=Tally(0, 1, 0, 0.0), merged=0)  # files of the round were changed since
    kept = as_recorded(changed, RecordedRound.from_json(entry))
    assert (kept.gaps, kept.tally, kept.merged) == (done.gaps, done.tally, done.merged)
    assert (kept.facts.approved, kept.facts.total) == (done.tally.approved, done.tally.total)
    assert (
        kept.rolled_back
        and kept.facts.drifted == ("quality",)
        and kept.facts.improvement == Estimate(-0.1, -0.2, -0.05, 6)
    )
    blind = RecordedRound.from_json({**entry, "improvement": None})
    assert as_recorded(kept, blind).facts.improvement is None
