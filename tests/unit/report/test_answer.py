"""The headline never claims more than the intervals do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from twinloop.domain.records import PanelScore
from twinloop.domain.statistics import Estimate
from twinloop.report.answer import answer
from twinloop.report.model import IdentityRecord, RunRecord, Stop

UP, DOWN, OPEN = Estimate(0.08, 0.02, 0.14, 24), Estimate(-0.08, -0.14, -0.02, 24), Estimate(0.01, -0.03, 0.05, 24)


def with_best(record: RunRecord, **changes: Estimate) -> RunRecord:
    return replace(record, best=2, against_v1=changes)


@pytest.mark.parametrize(
    ("on_target", "identity", "verdict", "start"),
    [
        (UP, UP, "yes", "Yes: v2 is above v1 on on-target rate and identity"),
        (UP, OPEN, "yes", "Yes: v2 is above v1 on on-target rate"),
        (OPEN, OPEN, "open", "Not shown: on on-target rate and identity"),
        (UP, DOWN, "mixed", "Only in part: v2 is above v1 on on-target rate and below it on identity"),
        (DOWN, OPEN, "no", "No: v2 is below v1 on on-target rate"),
        (Estimate(0.05, 0.0, 0.1, 24), OPEN, "open", "Not shown"),
    ],
)  # fmt: skip
def test_the_verdict_follows_the_intervals(
    on_target: Estimate, identity: Estimate, verdict: str, start: str, record: RunRecord
) -> None:
    told = answer(with_best(record, on_target=on_target, identity=identity))
    assert told.verdict == verdict
    assert told.against_v1.startswith(start)
    assert [finding.metric.name for finding in told.findings] == ["on_target", "identity"]


def test_a_gain_in_the_other_metrics_alone_is_not_better(record: RunRecord) -> None:
    assert answer(with_best(record, quality=UP, overall=UP)).verdict == "none"


def test_figures_are_shown_with_interval_and_n(record: RunRecord) -> None:
    told = answer(with_best(record, on_target=UP, identity=DOWN))
    assert [finding.text for finding in told.findings] == [
        "+8.0 points (95% interval +2.0 to +14.0, n = 24)",
        "\u22120.080 (95% interval \u22120.140 to \u22120.020, n = 24)",
    ]


def test_v1_as_the_best_is_said_plainly_and_held_against_the_best_later_one(record: RunRecord) -> None:
    told = answer(replace(record, best=1, against_v1={}))
    assert told.use == "Use LoRA v1"
    assert told.against_v1.startswith("No: none of the 3 later versions")
    later = max(record.scores[1:], key=lambda score: (score.metrics["overall"].value, -score.version))
    assert told.compared == later.version
    assert len(told.findings) == 5


def test_a_single_later_version_is_called_one(record: RunRecord) -> None:
    told = answer(replace(record, best=1, against_v1={}, scores=record.scores[:2]))
    assert told.against_v1.startswith("No: the one later version does not have a higher overall score than v1.")


def test_a_panel_of_another_size_is_not_compared(record: RunRecord) -> None:
    shorter = [
        PanelScore(s.version, s.metrics, {name: values[:-1] for name, values in s.samples.items()})
        for s in record.scores[1:]
    ]
    assert answer(replace(record, best=1, against_v1={}, scores=(record.scores[0], *shorter))).findings == ()


def test_before_anything_is_recorded_the_samples_decide(record: RunRecord) -> None:
    recorded = answer(record)
    told = answer(replace(record, stop=None, rounds=(), against_v1={}))
    assert record.best is not None
    assert record.best > 1
    assert told.compared == record.best
    outcomes = [[(finding.metric.name, finding.result) for finding in each.findings] for each in (told, recorded)]
    assert outcomes[0] == outcomes[1] != []
    assert told.verdict == recorded.verdict


def test_why_it_stopped(record: RunRecord) -> None:
    converged = answer(replace(record, stop=Stop("no_gaps", "gap count is 0", True), gaps_left=0))
    assert converged.stop == "The loop converged: gap count is 0. 0 gaps left."
    assert "without converging" in answer(record).stop


def test_an_unfinished_run_gives_no_final_answer(record: RunRecord) -> None:
    told = answer(replace(record, stop=None))
    assert (told.finished, told.file) == (False, f"lora_v{record.best}.safetensors")
    assert "not finished (3 rounds finished)" in told.stop
    empty = answer(
        replace(record, stop=None, best=None, rounds=(), scores=(), surveys=(), verdicts=(), photos=None, against_v1={})
    )
    assert empty.use == "No LoRA has been measured yet"
    assert "no photo is observed yet" in empty.stop
    assert empty.verdict == "none"


def test_cautions(record: RunRecord) -> None:
    rolled_back = replace(record.rounds[0], version=2, rolled_back=True, drifted=("diversity",))
    blind = tuple(replace(s, metrics={k: v for k, v in s.metrics.items() if k != "identity"}) for s in record.scores)
    unknown = IdentityRecord(0, frozenset(), {}, None, None, "no identity embedder")
    run = replace(
        with_best(record, on_target=UP, diversity=DOWN), rounds=(rolled_back,), scores=blind, identity=unknown
    )
    told = answer(run)
    text = "\n".join(told.cautions)
    assert "Diversity is lower than v1's" in text
    assert "Round 1, which made v2, was rolled back because of diversity" in text
    assert "Identity was not measured: no identity embedder." in text
    assert "The panel has only 4 images" in text
