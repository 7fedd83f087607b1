"""Two processes share a training: the loss curve of one process with the same pictures per step; errors and ends come
through.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file  # noqa: E402

from tests.contract.makers import TRAINING, samples  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.distributed.job import (  # noqa: E402
    SHARED,
    NamedFamily,
    SharedTraining,
    message,
    parse_message,
)
from twinloop.adapters.trainers.distributed.trainer import DistributedTrainer  # noqa: E402
from twinloop.adapters.trainers.execution.process_group import Workers, check_processes  # noqa: E402
from twinloop.adapters.trainers.preflight import training_checks  # noqa: E402
from twinloop.domain.faces import Box  # noqa: E402
from twinloop.domain.records import Mask  # noqa: E402
from twinloop.errors import InputError, OutOfMemory, StateError, TwinLoopError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.store.models.step_saves import step_path  # noqa: E402

SDXL = NamedFamily("sdxl")
FOUR = replace(
    TRAINING,
    batch_size=2,
    gradient_accumulation=2,
    steps=4,
    ema_decay=0.9,
    tensorboard=False,
    trigger="ohwx ana",
    text_encoder=True,
    network_dropout=0.2,
    rank_dropout=0.2,
    module_dropout=0.1,
)


@pytest.fixture
def choice(tiny_base: Path) -> BaseChoice:
    return BaseChoice(str(tiny_base), "cpu", "float32")


def losses(home: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (home / "lora.metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_the_same_loss_curve_as_one_process(choice: BaseChoice, tmp_path: Path) -> None:
    """Through torchrun and gloo; stopped in the middle and gone on, as a run is."""
    made = samples(tmp_path / "photos")
    # of one, two and three chunks, which the text encoders see as so many rows
    photos = [replace(photo, caption=photo.caption + ", smiling" * 7 * (row % 3)) for row, photo in enumerate(made)]
    one, two = tmp_path / "one", tmp_path / "two"
    photos += [replace(photo, weight=0.0, caption=f"{photo.caption}, held out") for photo in photos[1:4]]
    alone = DiffusersLoraTrainer(choice, FAMILIES["sdxl"]).train(
        photos, replace(FOUR, validate_every=3), one / "lora.safetensors", one / "work", {}, lambda *_: None
    )
    shared, seen = DistributedTrainer(choice, SDXL, 2, pytest.fail), list[int]()

    def progress(step: int, steps: int, loss: float, *validation: float) -> None:
        seen.append(step)
        validations.append(validation)

    validations = list[tuple[float, ...]]()
    saving, texts = replace(FOUR, save_every=2, validate_every=3), {"modelspec.title": "ana"}
    trained = shared.train(photos, saving, two / "lora.safetensors", two / "work", texts, progress)
    assert seen == [1, 2, 3, 4] and trained.steps == 4
    assert losses(two) == pytest.approx(losses(one), rel=2e-5)
    assert alone.validation is not None and trained.validation is not None and trained.validation.step == 4
    assert trained.validation.loss == pytest.approx(alone.validation.loss, rel=2e-5)
    assert [len(told) for told in validations] == [0, 0, 1, 1] and validations[-1] == (trained.validation.loss,)
    ours, theirs = load_file(one / "lora.safetensors"), load_file(two / "lora.safetensors")
    assert all(torch.allclose(ours[name].float(), theirs[name].float(), atol=5e-3) for name in ours)
    assert not list(two.glob("*job.json"))
    saved = [step_path(two / "lora.safetensors", step) for step in (2, 4)]
    assert sorted(two.glob("*-step*[0-9].safetensors")) == saved
    assert saved[1].read_bytes() == (two / "lora.safetensors").read_bytes()


def stand_in(home: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Something else than Python that is started in the place of torchrun."""
    (home / "python").write_text(f"#!/bin/sh\n{script}\n")
    (home / "python").chmod(0o755)
    monkeypatch.setattr("twinloop.adapters.trainers.distributed.trainer.sys.executable", str(home / "python"))


def test_an_interruption_ends_the_processes(
    choice: BaseChoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = message("step", step=1, steps=4, loss=0.5).strip()
    stand_in(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/pid\necho '{line}'\nsleep 60")

    def stop(step: int, steps: int, loss: float) -> None:
        raise KeyboardInterrupt("stopped")

    trainer, begun = DistributedTrainer(choice, SDXL, 2, pytest.fail), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        trainer.train(samples(tmp_path / "photos"), FOUR, tmp_path / "lora.safetensors", tmp_path / "work", {}, stop)
    assert time.monotonic() - begun < 45 and not list(tmp_path.glob("*job.json"))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def train_and_say_so(choice: BaseChoice, home: Path) -> None:
    """With the stand-in of torchrun; a file says that it has begun."""
    for number in (signal.SIGTERM, signal.SIGHUP):  # whoever runs the tests may have them ignored
        signal.signal(number, signal.SIG_DFL)

    def progress(*_: Any) -> None:
        (home / "begun").touch()

    DistributedTrainer(choice, SDXL, 1).train(
        samples(home / "photos"), TRAINING, home / "lora.safetensors", home / "work", {}, progress
    )


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.filterwarnings("ignore:.*fork.*")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_what_ends_the_command_ends_the_processes_too(
    name: str, choice: BaseChoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service manager's word, or the end of the terminal; the exit status is as by that signal."""
    line = message("step", step=1, steps=4, loss=0.5).strip()
    stand_in(tmp_path, monkeypatch, f"sleep 60 &\necho $! > {tmp_path}/pid\necho '{line}'\nsleep 60")
    number = getattr(signal, name)
    # forked, and not a Python of its own that imports PyTorch for seconds
    command = multiprocessing.get_context("fork").Process(target=train_and_say_so, args=(choice, tmp_path))
    command.start()
    try:
        wait_for(lambda: (tmp_path / "begun").exists(), "no step was told")
        assert command.pid is not None
        os.kill(command.pid, number)
        command.join(30)
        assert command.exitcode == -number and not list(tmp_path.glob("*job.json"))
    finally:
        command.kill()
    child = int((tmp_path / "pid").read_text())
    try:
        wait_for(lambda: not runs(child), "a process goes on")
    except AssertionError:
        os.kill(child, signal.SIGKILL)
        raise


def wait_for(happened: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < end, otherwise
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether a process is there and no mere entry that nobody has asked about yet."""
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(told) and not told.startswith("Z")


@pytest.mark.parametrize(("asked", "given"), [(None, "8"), ("3", "3")])
def test_processes_on_a_cpu_share_its_cores(
    asked: str | None, given: str, choice: BaseChoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchrun would give each a single thread."""
    stand_in(tmp_path, monkeypatch, 'echo "threads: $OMP_NUM_THREADS"\nexit 3')
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr("twinloop.adapters.trainers.distributed.trainer.thread_count", lambda: 16)
    with pytest.raises(StateError, match=f"threads: {given}$"):
        DistributedTrainer(choice, SDXL, 2, pytest.fail).train(
            samples(tmp_path / "photos"), FOUR, tmp_path / "lora.safetensors", tmp_path / "work", {}, pytest.fail
        )


@pytest.mark.parametrize(("name", "kind"), [("OutOfMemory", OutOfMemory), ("OfAnotherVersion", TwinLoopError)])
def test_an_error_of_a_process_is_the_same_error_here(
    name: str, kind: type[TwinLoopError], choice: BaseChoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = message("error", error=name, message="too large").strip()
    stand_in(tmp_path, monkeypatch, f"echo '{line}'\nexit 2")
    with pytest.raises(kind, match="too large"):
        DistributedTrainer(choice, SDXL, 2, pytest.fail).train(
            samples(tmp_path / "photos"), FOUR, tmp_path / "lora.safetensors", tmp_path / "work", {}, pytest.fail
        )


def test_pictures_are_shared_without_rest() -> None:
    parts = [Workers(rank, 4).share(12) for rank in range(4)]
    assert parts == [(0, 3), (3, 6), (6, 9), (9, 12)] and Workers().share(5) == (0, 5)
    assert Workers().is_main and not Workers(1, 2).is_main and Workers().all_reduce_number(0.1) == 0.1
    with pytest.raises(InputError, match=r"training\.processes: 3 processes cannot share the 4 pictures"):
        check_processes(3, 4)


def test_windows_cannot_start_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before anything long begins, and names the field."""
    choice = BaseChoice("any", "cpu", "float32")
    settings = replace(TRAINING, batch_size=2)
    for check in training_checks(settings, FAMILIES["sdxl"], choice, 2):
        check()
    monkeypatch.setattr("twinloop.adapters.trainers.execution.process_group.WINDOWS", True)
    with pytest.raises(InputError, match=r"^training\.processes: 2 .* on Windows, .*Leave processes at 1"):
        for check in training_checks(settings, FAMILIES["sdxl"], choice, 2):
            check()
    check_processes(1, 4)


def test_a_job_survives_its_file(tmp_path: Path) -> None:
    photos = samples(tmp_path / "photos")
    given = (
        replace(photos[0], face=Box(1.5, 2, 3, 4)),
        replace(photos[1], prior=True),
        replace(photos[2], mask=Mask(tmp_path / "2.png", "abc")),
    )
    shared = SharedTraining(
        BaseChoice("base", "cpu", quantization="int8", parts=(("vae", "b.safetensors"),)),
        NamedFamily("sdxl", ("a.py",)),
        given,
        replace(FOUR, optimizer_args=(("betas", (0.9, 0.99)), ("eps", 1e-7))),
        tmp_path / "out",
        tmp_path / "work",
        {"title": "ä"},
    )
    assert SHARED.validate_python(json.loads(json.dumps(SHARED.dump_python(shared, mode="json")))) == shared


@pytest.mark.parametrize("line", ["", "twinloop:", "twinloop:[1]", "Traceback (most recent call last):"])
def test_other_lines_are_not_taken_for_ours(line: str) -> None:
    assert parse_message(line) is None


def test_what_is_said_is_heard() -> None:
    told: Any = parse_message(message("error", error="OutOfMemory", message="too large"))
    assert told == {"kind": "error", "error": "OutOfMemory", "message": "too large"}


def test_processes_that_die_are_one_error(choice: BaseChoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "echo no GPU today\nexit 3")
    with pytest.raises(StateError, match="no GPU today"):
        DistributedTrainer(choice, SDXL, 2, pytest.fail).train(
            samples(tmp_path / "photos"), FOUR, tmp_path / "lora.safetensors", tmp_path / "work", {}, pytest.fail
        )
