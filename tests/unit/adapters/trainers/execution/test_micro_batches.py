"""Micro-batches: half the size after memory ran out, from that step on, also after a kill."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twinloop.adapters.trainers.execution.micro_batches import MicroBatches
from twinloop.errors import StateError


def test_a_smaller_size_counts_from_its_step_on(tmp_path: Path) -> None:
    sizes = MicroBatches(tmp_path / "p.json", 8)
    assert sizes.at(1) == 8
    assert sizes.halve(5) == 4 and sizes.halve(9) == 2
    for kept in (sizes, MicroBatches(tmp_path / "p.json", 8)):
        assert [kept.at(step) for step in (1, 4, 5, 8, 9, 50)] == [8, 8, 4, 4, 2, 2]


def test_halved_twice_at_one_step(tmp_path: Path) -> None:
    sizes = MicroBatches(tmp_path / "p.json", 8)
    assert (sizes.halve(3), sizes.halve(3), sizes.halve(3), sizes.halve(3)) == (4, 2, 1, 0)
    assert (sizes.at(2), sizes.at(3)) == (8, 1)
    assert json.loads((tmp_path / "p.json").read_text()) == [[1, 8], [3, 1]], "a step is in the record once"


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("[[1]]")
    with pytest.raises(StateError, match="is damaged"):
        MicroBatches(tmp_path / "p.json", 8)


def test_an_earlier_step_that_needs_less_lets_no_later_one_take_more(tmp_path: Path) -> None:
    """A resumed training takes its first step's sizes once more to compile for them (`TrainingRun`), and memory may run
    out there.
    """
    MicroBatches(tmp_path / "p.json", 8).halve(5)
    MicroBatches(tmp_path / "p.json", 8).halve(9)
    resumed = MicroBatches(tmp_path / "p.json", 8)
    assert resumed.halve(1) == 4
    assert [resumed.at(step) for step in (1, 5, 9, 50)] == [4, 4, 2, 2]
    assert resumed.halve(1) == 2 and [resumed.at(step) for step in (1, 5, 9)] == [2, 2, 2]
