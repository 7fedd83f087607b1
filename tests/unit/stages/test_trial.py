"""Checkpoints of a training: which are measured, which one is taken, when it is time to stop."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.stages.trials import score, trial
from twinloop.domain.training_rules import checkpoint_steps
from twinloop.stages.trial import Trial, outcome


def walk(one: Trial) -> list[int]:
    """Steps that are measured before it has enough."""
    seen = []
    for step in one.steps:
        seen.append(step)
        if one.enough(step, Path("lora")):
            break
    return seen


@given(st.integers(1, 5000), st.integers(2, 20))
def test_checkpoints_lie_evenly_in_the_last_half(steps: int, count: int) -> None:
    chosen = checkpoint_steps(steps, count)
    assert chosen[-1] == steps and chosen == tuple(sorted(set(chosen)))
    assert all(steps / 2 <= step <= steps for step in chosen)
    gaps = [b - a for a, b in pairwise(chosen)]
    if steps >= 2 * count:
        assert len(chosen) == count and max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize("count", [0, 1])
def test_one_checkpoint_is_no_choice(count: int) -> None:
    assert checkpoint_steps(1000, count) == ()


def test_the_best_is_taken_and_not_the_last(tmp_path: Path) -> None:
    one = trial({50: 0.4, 75: 0.7, 100: 0.6}, tmp_path / "choice.json")
    assert walk(one) == [50, 75, 100] and one.settle() == 75
    data = json.loads((tmp_path / "choice.json").read_text())
    assert (data["chosen"], data["stopped_early"]) == (75, False)
    assert [(entry["step"], entry["metrics"]["overall"]["value"]) for entry in data["checkpoints"]] == [
        (50, 0.4),
        (75, 0.7),
        (100, 0.6),
    ]


def test_the_earlier_one_of_two_equals_is_taken(tmp_path: Path) -> None:
    one = trial({50: 0.7, 75: 0.7}, tmp_path / "choice.json")
    walk(one)
    assert one.best == 50


def test_it_stops_when_so_many_in_a_row_are_no_better(tmp_path: Path) -> None:
    falling = {50: 0.5, 60: 0.7, 70: 0.6, 80: 0.65, 90: 0.9}
    assert walk(trial(falling, tmp_path / "a", patience=2)) == [50, 60, 70, 80]
    assert walk(trial(falling, tmp_path / "b", patience=3)) == [50, 60, 70, 80, 90]
    assert walk(trial(falling, tmp_path / "c")) == [50, 60, 70, 80, 90]
    stopped = trial(falling, tmp_path / "d", patience=2)
    walk(stopped)
    assert stopped.settle() == 60 and json.loads((tmp_path / "d").read_text())["stopped_early"]


def test_the_outcome_follows_from_the_figures_alone() -> None:
    """So a record that is gone is written once more from the scores that lie there."""
    found = outcome((50, 75, 100), [score(50, 0.4), score(75, 0.7)])
    assert (found["chosen"], found["stopped_early"]) == (75, True)
    assert [(entry["step"], "version" in entry) for entry in found["checkpoints"]] == [(50, False), (75, False)]
