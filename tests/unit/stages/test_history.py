"""The rounds of a record, read back: each is what was written, or an error names the field and the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.things import gap, score
from twinloop.domain.records import LoRA
from twinloop.errors import StateError
from twinloop.stages.decide import NO_GAPS
from twinloop.stages.history import NOTHING_EARLIER, Earlier, RecordedRound, count_of, read_earlier
from twinloop.stages.rounds import RunResult, finished_round, history_json
from twinloop.stages.validate import Tally
from twinloop.store.run.workspace import Workspace

LORA = LoRA("lora_v2.safetensors", 2, "ab", "nano", "id", "nano", 10, 0, 0.1)
BEFORE = score(1, overall=[0.5, 0.5, 0.5])
DONE = finished_round(
    1,
    [gap()],
    Tally(12, 2, 1, 0.8, early=1),
    10,
    LORA,
    BEFORE,
    score(2, overall=[0.75, 0.75, 0.75]),
)

FIELDS = (
    "iteration",
    "gap_count",
    "gaps",
    "quality_score",
    "approval_rate",
    "merged",
    "generated_with",
    "lora_version",
    "improvement",
    "drifted",
    "rolled_back",
)


def history() -> Any:
    """One round, after which no gap was left."""
    result = RunResult(NO_GAPS, 2, (replace(LORA, version=1), LORA), (BEFORE, DONE.score), (DONE,), 0)
    return json.loads(json.dumps(history_json(result, "ana", "nano")))


def without(field: str) -> Any:
    record = history()
    del record["iterations"][0][field]
    return record


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, tmp_path)


def test_a_round_is_read_back_as_it_was(space: Workspace) -> None:
    space.history.write_text(json.dumps(history()))
    earlier = read_earlier(space)
    (kept,) = earlier.rounds
    assert (kept.facts, kept.gaps, kept.tally, kept.merged) == (DONE.facts, DONE.gaps, DONE.tally, DONE.merged)
    assert (kept.started_from, kept.generated_with, kept.version, kept.rolled_back) == (1, "v1", 2, False)
    assert (kept.approval.value, kept.approval.n, kept.tally.total) == (0.8, 15, 15)
    assert earlier.round(1) is kept and earlier.round(2) is None


def test_a_run_had_ended_only_after_the_rounds_that_it_had(space: Workspace) -> None:
    space.history.write_text(json.dumps(history()))
    earlier = read_earlier(space)
    assert [earlier.stop_after(rounds) for rounds in (0, 1, 2)] == [None, NO_GAPS, None]
    assert replace(earlier, stop=None).stop_after(1) is None


@pytest.mark.parametrize("field", FIELDS)
def test_a_round_that_lacks_a_field_is_told_with_the_file(field: str, space: Workspace) -> None:
    space.history.write_text(json.dumps(without(field)))
    with pytest.raises(StateError, match=rf'iteration_history\.json .*"iterations": number 1: "{field}" is missing'):
        read_earlier(space)


@pytest.mark.parametrize("odd", [[], {"iterations": None}, {"iterations": {}}, {"stop": {"rule": 3}}])
def test_a_record_of_another_shape_is_told_with_the_file(odd: Any, space: Workspace) -> None:
    space.history.write_text(json.dumps(odd))
    with pytest.raises(StateError, match=r"iteration_history\.json does not hold"):
        read_earlier(space)


def test_a_run_that_begins_has_nothing_on_record(space: Workspace) -> None:
    assert read_earlier(space) == NOTHING_EARLIER == Earlier()
    space.history.write_text("{}")
    assert read_earlier(space) == NOTHING_EARLIER


def test_what_a_record_lists_is_counted_also_where_it_is_damaged() -> None:
    assert [count_of(record, "iterations") for record in (history(), {}, {"iterations": 3})] == [1, 0, 0]


def test_a_round_knows_whether_it_trained() -> None:
    (entry,) = history()["iterations"]
    assert RecordedRound.from_json(entry).facts.trained
    assert not RecordedRound.from_json({**entry, "lora_version": 1}).facts.trained
