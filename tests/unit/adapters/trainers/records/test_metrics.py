"""Figures of a training: one line per step whatever was interrupted, TensorBoard where it is there, W&B only when
asked.
"""

from __future__ import annotations

import json
import sys
import time
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.contract.makers import TRAINING
from twinloop.adapters.trainers.records.metrics import JsonLines, Metrics, keep_log, open_metrics
from twinloop.domain.validation_loss import TimeLoss, ValidationLoss
from twinloop.errors import MissingExtra
from twinloop.store.models.lora_file import metrics_path
from twinloop.store.models.training_log import logged_steps

VALIDATION = ValidationLoss(4, (TimeLoss(125, 0.4), TimeLoss(625, 0.1)))


@pytest.fixture(autouse=True)
def with_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


def steps_of(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def fill(metrics: Metrics, steps: range) -> None:
    for step in steps:
        metrics.add(step, loss=1.0 / step, rate=0.1, grad_norm=2.0)


def test_steps_after_the_checkpoint_are_not_there_twice(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    first = JsonLines(path, 0)
    fill(Metrics([first]), range(1, 8))
    first.close()
    with open(path, "a") as file:
        file.write('{"step": 8, "lo')  # killed in the middle of a line
    again = JsonLines(path, 5)
    fill(Metrics([again]), range(6, 9))
    again.close()
    assert steps_of(path) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_what_a_line_holds(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "m.jsonl", 0)
    Metrics([sink]).add(1, loss=0.5, rate=1e-4, grad_norm=float("inf"))
    line = json.loads((tmp_path / "m.jsonl").read_text())
    assert line.keys() == {"step", "loss", "rate", "grad_norm", "seconds"}
    assert (line["loss"], line["rate"], line["grad_norm"]) == (0.5, 1e-4, None)
    assert 0 <= line["seconds"] < 10
    Metrics([sink]).add(2, loss=0.5, prior_loss=0.25, rate=1e-4, grad_norm=1.0)
    second = json.loads((tmp_path / "m.jsonl").read_text().splitlines()[1])
    assert (second["loss"], second["prior_loss"]) == (0.5, 0.25)


def test_a_validation_stands_in_the_line_of_its_step_and_not_in_its_seconds(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    metrics = Metrics([JsonLines(path, 0)])
    fill(metrics, range(1, 2))
    with metrics.clock_stopped():
        time.sleep(0.6)
    metrics.add(4, loss=float("nan"), rate=0.1, grad_norm=2.0, validation=VALIDATION)
    metrics.close()
    first, second = logged_steps(path)
    assert first.validation is None and first.loss == 1.0
    assert second.validation == VALIDATION and second.loss is None
    line = json.loads(path.read_text().splitlines()[1])
    assert line["validation_loss"] == 0.25 and line["seconds"] < 0.5
    with open(path, "a") as file:
        file.write('{"step": 3, "loss": 0.5, "valid')  # killed in the middle of a line
    assert logged_steps(path) == (first, second) and logged_steps(tmp_path / "none.jsonl") == ()


def test_a_step_takes_the_time_since_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.0, 15.0])
    fake = types.SimpleNamespace(perf_counter=lambda: next(clock))
    monkeypatch.setattr("twinloop.adapters.trainers.records.metrics.time", fake)
    sink = JsonLines(tmp_path / "m.jsonl", 0)
    fill(Metrics([sink]), range(1, 3))
    sink.close()
    lines = (tmp_path / "m.jsonl").read_text().splitlines()
    assert [json.loads(line)["seconds"] for line in lines] == [2.0, 3.0]


def test_no_times_where_files_have_to_be_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    work = tmp_path / ".training_v1"
    fill(metrics := open_metrics(work, 0, TRAINING, "a" * 32, pytest.fail), range(1, 3))
    metrics.close()
    assert json.loads((work / "metrics.jsonl").read_text().splitlines()[0])["seconds"] is None
    assert not (tmp_path / "tensorboard").exists()
    keep_log(work, tmp_path / "lora_v1.safetensors")
    assert steps_of(metrics_path(tmp_path / "lora_v1.safetensors")) == [1, 2]


def test_tensorboard_files_lie_beside_the_lora_and_are_read_back(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="the train extra is not installed")
    from tensorboardX.proto.event_pb2 import Event

    metrics = open_metrics(tmp_path / ".training_v1", 0, TRAINING, "a" * 32, pytest.fail)
    fill(metrics, range(1, 4))
    metrics.close()
    metrics = open_metrics(tmp_path / ".training_v1", 2, TRAINING, "a" * 32, pytest.fail)
    fill(metrics, range(3, 4))
    metrics.add(4, loss=0.5, rate=0.1, grad_norm=2.0, validation=VALIDATION)
    metrics.close()
    files = sorted((tmp_path / "tensorboard" / "v1").iterdir())
    events = [event for file in files for event in read_events(file, Event)]
    tags = [(value.tag, event.step) for event in events for value in event.summary.value]
    assert sorted(step for tag, step in tags if tag == "training/loss") == [1, 2, 3, 3, 4]
    assert {("loss/validation", 4), ("loss/validation_125", 4)} <= set(tags)
    purges = [event.step for event in events if event.HasField("session_log")]
    assert 3 in purges  # the viewer hides what was written from this step on before


def read_events(path: Path, kind: Any) -> list[Any]:
    """The records of an event file: length, its checksum, bytes, their checksum."""
    data, place, found = path.read_bytes(), 0, []
    while place < len(data):
        size = int.from_bytes(data[place : place + 8], "little")
        event = kind()
        event.ParseFromString(data[place + 12 : place + 12 + size])
        found.append(event)
        place += 12 + size + 4
    return found


def test_without_the_library_it_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinloop.adapters.trainers.records.metrics.tensorboard_is_there", lambda: False)
    said: list[str] = []
    open_metrics(tmp_path / "w", 0, TRAINING, "a", said.append).close()
    open_metrics(tmp_path / "w", 3, TRAINING, "a", said.append).close()  # resumed
    open_metrics(tmp_path / "w", 0, replace(TRAINING, tensorboard=False), "a", said.append).close()
    assert len(said) == 1 and "tensorboardX is not installed" in said[0]


def test_weights_and_biases_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    run = types.SimpleNamespace(log=lambda data, step: calls.append((step, data)), finish=lambda: calls.append("end"))

    def init(**asked: Any) -> Any:
        calls.append(asked)
        return run

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    fill(
        open_metrics(tmp_path / ".training_v1", 0, replace(TRAINING, tensorboard=False), "f" * 40, pytest.fail),
        range(1, 2),
    )
    assert calls == []
    metrics = open_metrics(
        tmp_path / ".training_v1", 0, replace(TRAINING, tensorboard=False, wandb="ana"), "f" * 40, pytest.fail
    )
    fill(metrics, range(1, 2))
    metrics.close()
    assert calls[0] == {"project": "ana", "name": "v1", "id": "f" * 16, "resume": "allow"}
    assert calls[1][0] == 1 and calls[1][1]["training/loss"] == 1.0 and calls[2] == "end"


def test_weights_and_biases_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingExtra, match=r'pip install .*-e "\.\[wandb\]"'):
        open_metrics(tmp_path / "w", 0, replace(TRAINING, tensorboard=False, wandb="ana"), "f", pytest.fail)
