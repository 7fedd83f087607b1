"""Pauses of a training: for samples, for measured checkpoints, for both."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.stages.trials import trial
from twinloop.stages.pauses import NO_PAUSES, Pauses, Samples, sample_steps


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [(100, 0, ()), (100, 30, (30, 60, 90, 100)), (100, 50, (50, 100)), (100, 100, (100,)), (100, 500, (100,))],
)
def test_samples_are_drawn_every_so_often_and_at_the_end(steps: int, every: int, expected: tuple[int, ...]) -> None:
    assert sample_steps(steps, every) == expected


def test_a_training_without_either_does_not_pause() -> None:
    assert NO_PAUSES.steps == ()


def test_samples_alone_take_the_last_step(tmp_path: Path) -> None:
    drawn: list[int] = []
    pauses = Pauses(samples=Samples((30, 60, 80), lambda lora, step: drawn.append(step)))
    assert [pauses.decides(step) for step in pauses.steps] == [False, False, True]
    assert [pauses.enough(step, tmp_path / "lora") for step in pauses.steps] == [False] * 3
    assert drawn == [30, 60, 80] and pauses.settle() == 80


def test_both_together_draw_and_measure_each_at_its_own_steps(tmp_path: Path) -> None:
    drawn: list[int] = []
    measured = trial({50: 0.7, 80: 0.4}, tmp_path / "choice.json")
    pauses = Pauses(measured, Samples((30, 60, 80), lambda lora, step: drawn.append(step)))
    assert pauses.steps == (30, 50, 60, 80)
    assert [pauses.decides(step) for step in pauses.steps] == [False, True, False, True]
    for step in pauses.steps:
        pauses.enough(step, tmp_path / "lora")
    assert drawn == [30, 60, 80]
    assert [score.version for score in measured.scores] == [50, 80] and pauses.settle() == 50


def test_an_early_stop_ends_the_samples_too(tmp_path: Path) -> None:
    measured = trial({50: 0.7, 60: 0.6, 80: 0.4}, tmp_path / "choice.json", patience=1)
    pauses = Pauses(measured, Samples((80,), lambda lora, step: None))
    assert [pauses.enough(step, tmp_path / "lora") for step in (50, 60)] == [False, True]
