"""What a training fixes when it first starts is kept, and who loses trained steps is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from twinloop.adapters.trainers.records.begun import inputs_hash  # noqa: E402
from twinloop.adapters.trainers.records.checkpoints import Checkpoints  # noqa: E402
from twinloop.adapters.trainers.records.training_record import TrainingRecord, open_record  # noqa: E402
from twinloop.domain.records import TrainingSample  # noqa: E402
from twinloop.ports import TrainingSettings  # noqa: E402

SETTINGS = TrainingSettings("nano", 10, 4, 4.0, 1e-3, 2, 64, 7)
SAMPLES = (TrainingSample(Path("a.png"), "ab", "ana", 1.0),)


def begun(work: Path, inputs: str = "inputs") -> TrainingRecord:
    """A training with a checkpoint."""
    record = open_record(work, inputs, pytest.fail)
    Checkpoints(work).save(1, {"x": torch.zeros(1)})
    return record


def test_the_same_training_goes_on(tmp_path: Path) -> None:
    record = begun(tmp_path / "work")
    assert record.work == tmp_path / "work"
    assert open_record(tmp_path / "work", "inputs", pytest.fail) == record
    assert Checkpoints(tmp_path / "work").last_step == 1


@pytest.mark.parametrize("damaged", ["", "{", '{"inputs": "inputs", "date": "2026-01-01T00:00:00Z"}'])
def test_another_one_or_a_damaged_record_begins_anew_and_that_is_said(tmp_path: Path, damaged: str) -> None:
    begun(tmp_path / "work", "inputs" if damaged else "others")
    if damaged:
        (tmp_path / "work" / "training.json").write_text(damaged)
    told: list[str] = []
    open_record(tmp_path / "work", "inputs", told.append)
    (text,) = told
    assert str(tmp_path / "work") in text and "begins at step 1" in text
    assert not Checkpoints(tmp_path / "work").are_there


def test_nothing_is_said_where_no_step_is_lost(tmp_path: Path) -> None:
    open_record(tmp_path / "work", "others", pytest.fail)
    assert open_record(tmp_path / "work", "inputs", pytest.fail).inputs == "inputs"


def test_settings_that_decide_no_weight_are_not_hashed() -> None:
    first = inputs_hash(SAMPLES, SETTINGS, "base")
    free = replace(SETTINGS, tensorboard=False, gradient_checkpointing=True, memory=8, wandb="ana", stop_at=5)
    free = replace(free, blocks_to_swap=2)
    assert inputs_hash(SAMPLES, free, "base") == first
    assert first not in (
        inputs_hash(SAMPLES, replace(SETTINGS, rank=8), "base"),
        inputs_hash(SAMPLES, SETTINGS, "other"),
        inputs_hash(SAMPLES, SETTINGS, "base", "ohwx ana"),
    )
