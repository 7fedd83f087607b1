"""The best checkpoint of a training is found by the panel, in the whole loop, and survives a stop at every record."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.functional import loops
from tests.unit.things import Recording
from twinloop.errors import StateError

TRAINING = {"preset": "fake", "steps": 16, "keep_checkpoints": 4, "checkpoint_panel": 3}
pytestmark = pytest.mark.usefixtures("home")


def settings(**training: Any) -> Any:
    return loops.settings(max_iterations=1, training={**TRAINING, **training})


def test_the_version_is_the_best_checkpoint_and_its_samples_stay() -> None:
    """The fake learns by heart after three quarters of its steps: the checkpoint there is the best."""
    reporter = Recording()
    outcome = loops.run(settings(), reporter=reporter)
    choice = json.loads(Path("out/checkpoints_v1.json").read_text())
    measured = [entry["step"] for entry in choice["checkpoints"]]
    assert measured == [10, 12, 14, 16]
    best = max(choice["checkpoints"], key=lambda entry: (entry["metrics"]["overall"]["value"], -entry["step"]))
    assert outcome.loras[0].steps == choice["chosen"] == best["step"] < 16
    for step in measured:
        assert len(list(Path(f"out/checkpoints_v1/step_{step:06d}").glob("*.png"))) == 3
    assert any(f"Best of 4 checkpoints: step {best['step']}" in line for line in reporter.lines)
    assert not any("goes on" in line for line in reporter.lines), "from checkpoint to checkpoint is no new start"
    assert not list(Path("loras").glob(".training_*"))


def test_the_choice_is_what_was_written_and_comes_back_when_it_is_deleted() -> None:
    loops.run(settings())
    before, choice = loops.tree("out", "loras"), Path("out/checkpoints_v1.json")
    choice.write_text(json.dumps({**json.loads(choice.read_text()), "chosen": 16}))
    with pytest.raises(StateError, match=r"checkpoints_v1\.json is not what this run wrote.*delete it"):
        loops.run(settings())
    choice.unlink()
    loops.run(settings())
    assert loops.tree("out", "loras") == before


def test_the_checkpoints_panel_is_not_the_one_that_rounds_are_compared_by() -> None:
    loops.run(settings())
    seeds = [
        {shot["seed"] for shot in json.loads(Path(f"out/{name}.json").read_text())["shots"]}
        for name in ("panel", "checkpoint_panel")
    ]
    assert not seeds[0] & seeds[1]


def test_early_stop_leaves_later_steps_untrained() -> None:
    loops.run(settings(steps=40, keep_checkpoints=10, early_stop=1))
    choice = json.loads(Path("out/checkpoints_v1.json").read_text())
    assert choice["stopped_early"] and len(choice["checkpoints"]) < 10
    assert choice["chosen"] == choice["checkpoints"][-2]["step"]


def test_stopped_at_any_record_it_ends_in_the_same_files(tmp_path: Path) -> None:
    records: list[str] = []
    loops.run(settings(), records.append)
    expected = loops.tree("out", "loras")
    at_checkpoints = [number for number, key in enumerate(records) if "checkpoint" in key or key == "lora_v1"]
    assert len(at_checkpoints) > 15
    shutil.rmtree("out")
    shutil.rmtree("loras")
    for number in at_checkpoints:

        def stop(key: str, wanted: str = records[number]) -> None:
            if key == wanted:
                raise KeyboardInterrupt(wanted)

        with pytest.raises(KeyboardInterrupt):
            loops.run(settings(), stop)
    loops.run(settings())
    assert loops.tree("out", "loras") == expected


def test_without_it_nothing_is_measured_on_the_way() -> None:
    loops.run(settings(keep_checkpoints=0))
    assert not list(Path("out").glob("checkpoint*"))
