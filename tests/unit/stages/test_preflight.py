"""Before anything long starts: one line, and one error where the disk is too small."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from tests.functional import loops
from tests.unit.things import Recording
from twinloop.domain.forecast import GIB, Forecast, MemoryPlan
from twinloop.errors import StorageError
from twinloop.loop import run_loop
from twinloop.ports import GenerationSettings, TrainingSettings
from twinloop.stages.preflight import look_ahead, many_steps, pictures, remarks_on_training
from twinloop.store.run.workspace import workspace_of
from twinloop.wiring import build_toolbox

PLAN = MemoryPlan(2, True, 7 * GIB)
FORECAST = Forecast(PLAN, 12 * GIB, 2 * GIB, 5400.0, {8: PLAN, 12: PLAN, 16: None, 24: PLAN})
Usage = namedtuple("Usage", "total used free")


def free(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**13, 0, room))


def test_the_line_names_memory_disk_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 100 * GIB)
    reporter = Recording()
    look_ahead(FORECAST, GIB, tmp_path / "not" / "there", reporter)
    assert reporter.lines == ["Training needs 7.0 of 12.0 GiB of memory, 2.00 GiB of disk, about 1.5 hours."]
    assert "a card of 16 GiB: too little; lower training.resolution or training.rank" in FORECAST.details
    assert FORECAST.details[0] == "a card of 8 GiB: needs 7.0 GiB, 2 pictures at a time, with gradient checkpointing"


def test_too_little_disk_is_one_error_with_both_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 2 * GIB)
    with pytest.raises(StorageError, match=r"needs about 3\.1 GiB .* 2\.0 GiB are free.*nothing was started"):
        look_ahead(FORECAST, GIB, tmp_path, Recording())


def test_what_trainings_draw_on_their_way_needs_room_too() -> None:
    generation, training = GenerationSettings(1, 1.0, 1000, 1000), TrainingSettings("fake", 100, 4, 4.0, 1e-4, 1, 64, 0)
    plain = pictures(loops.settings(), generation, training)
    checked = loops.settings(training={"keep_checkpoints": 4, "checkpoint_panel": 8})
    assert pictures(checked, generation, training) - plain == 3 * 4 * 8 * 1_500_000
    sampled = loops.settings(training={"sample_every": 30, "sample_prompts": ["a", "b"]})
    assert pictures(sampled, generation, training) - plain == 3 * 4 * 2 * 1_500_000


def test_a_run_asks_before_it_starts_and_not_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    chosen: Any = loops.settings(max_iterations=1)
    free(monkeypatch, 1000)
    with pytest.raises(StorageError):
        loops.run(chosen)
    assert not Path("out/dataset_iter0.json").exists() and not list(Path("loras").glob("*"))
    free(monkeypatch, 100 * GIB)
    loops.run(chosen)
    free(monkeypatch, 1000)
    run_loop(chosen, build_toolbox(chosen, Recording()), workspace_of(chosen))


def test_epochs_of_many_photos_are_told_with_both_numbers() -> None:
    def told(come_to: int, usual: int = 1500, **asked: Any) -> str:
        training = TrainingSettings("sdxl", come_to, 4, 4.0, 1e-4, 1, 64, 0)
        return many_steps(loops.settings(training=asked), training, usual, 100)

    line = told(5000, epochs=10)
    assert "training.epochs 10 on 100 images come to 5000 steps, where the preset sdxl takes 1500" in line
    assert "training.repeats" in line and "training.max_train_steps 1500" in line
    assert told(3000, epochs=10) == told(5000, steps=5000) == told(5000, epochs=10, steps=5000) == ""
    assert told(5000, epochs=10, max_train_steps=5000) == told(5000) == told(5000, usual=0, epochs=10) == ""


def test_what_a_training_is_too_short_for_is_told_where_the_configuration_does_not_tell_its_steps() -> None:
    def told(steps: int, **asked: Any) -> list[str]:
        training = TrainingSettings("sdxl", steps, 4, 4.0, asked.get("learning_rate", 1.0), 1, 64, 0)
        settings = loops.settings(training={"epochs": 2, "steps": None, **asked})
        return list(remarks_on_training(settings, training, 0, 10))

    assert told(40, warmup_steps=40) == [
        "training: warmup_steps 40 of 40 steps never reach the learning rate; a tenth of the steps is usual."
    ]
    assert told(40, save_every=41) == [
        "training: save_every 41 saves nothing in a training of 40 steps; lower it, or leave it out."
    ]
    (late,) = told(40, sample_every=41)
    assert "training.sample_every 41 is more than the 40 steps" in late and "once, after the last" in late
    assert "training.validate_every 50" in told(40, validate_every=50)[0]
    (fewer,) = told(6, keep_checkpoints=8)
    assert fewer == "training.keep_checkpoints 8: the last half of 6 steps has only 4 to measure."
    assert "early_stop 3 can never stop" in told(6, keep_checkpoints=8, early_stop=3)[0]
    fits = {"warmup_steps": 39, "save_every": 40, "sample_every": 40, "validate_every": 40, "keep_checkpoints": 4}
    assert told(40, **fits, early_stop=2) == told(40) == []
    falls = {"schedule": "cosine_restarts", "warmup_steps": 4}
    assert "restarts 19 leave less than two steps" in told(40, **falls, restarts=19)[0]
    assert told(40, **falls, restarts=18) == []
    (slow,) = told(40, optimizer="prodigy", learning_rate=1e-4)
    assert slow.startswith("training.learning_rate 0.0001: prodigy multiplies") and "1.0 is usual" in slow
    assert told(40, optimizer="prodigy", learning_rate=0.5) == told(40, optimizer="lion", learning_rate=1e-4) == []
