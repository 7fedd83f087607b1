"""kill -9 while a LoRA is trained: the next call ends in the same bytes as an undisturbed training."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.makers import TRAINING, samples
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.domain.records import TrainingSample
from twinloop.families import FAMILIES
from twinloop.ports import TrainingSettings
from twinloop.store.models.lora_file import kohya_path

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*"),
]
DATE = "1700000000"


LONGER = replace(
    TRAINING, steps=26, checkpoint_every=3, ema_decay=0.9, gradient_accumulation=2, batch_size=1, trigger="ohwx ana"
)


def train(
    base: Path,
    photos: tuple[TrainingSample, ...],
    home: Path,
    kill_after: int = 0,
    settings: TrainingSettings = TRAINING,
) -> None:
    from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer

    def progress(step: int, steps: int, loss: float) -> None:
        if step == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

    trainer = DiffusersLoraTrainer(BaseChoice(str(base), "cpu"), FAMILIES["sdxl"])
    trainer.train(photos, settings, home / "lora.safetensors", home / "work", {}, progress)


def train_and_die_writing(base: Path, photos: tuple[TrainingSample, ...], home: Path, moment: str, number: int) -> None:
    """Killed while the ``number``-th checkpoint is written: with half of its bytes, before it has its name, or just
    after.
    """
    from twinloop.adapters.trainers.records import checkpoints

    real, seen = checkpoints.write_bytes, []

    def write(path: Path, data: bytes) -> None:
        seen.append(path)
        if len(seen) < number or moment == "after":
            real(path, data)
        if len(seen) < number:
            return
        if moment != "after":
            path.parent.mkdir(parents=True, exist_ok=True)
            part = data if moment == "before its name" else data[: len(data) // 2]
            path.with_name(f".{path.name}.{os.getpid()}.tmp").write_bytes(part)
        os.kill(os.getpid(), signal.SIGKILL)

    checkpoints.write_bytes = write
    train(base, photos, home, settings=LONGER)


def in_child(*arguments: object, seconds: float | None = None, target: Callable[..., None] = train) -> int:
    """Exit code of a forked training; with ``seconds`` it is killed from outside after that time."""
    gc.freeze()  # a collection in the child would touch, and so copy, every page of this process
    child = multiprocessing.get_context("fork").Process(target=target, args=arguments)
    child.start()
    gc.unfreeze()
    if seconds is not None:
        time.sleep(seconds)
        child.kill()
    child.join(timeout=120)
    assert child.exitcode is not None
    return child.exitcode


def files(home: Path) -> tuple[bytes, bytes]:
    return (home / "lora.safetensors").read_bytes(), kohya_path(home / "lora.safetensors").read_bytes()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingSample, ...]:
    return samples(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def undisturbed(
    tiny_base: Path, photos: tuple[TrainingSample, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[bytes, bytes]:
    import torch

    if torch.get_num_threads() != 1 and os.environ.get("OMP_NUM_THREADS") != "1":
        pytest.skip("forking a process with a thread pool hangs; run with OMP_NUM_THREADS=1 as make test does")
    home = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", DATE)
        train(tiny_base, photos, home)
    return files(home)


@pytest.mark.parametrize("step", random.Random(20).sample(range(1, TRAINING.steps + 1), 3))
def test_killed_after_a_step(
    step: int,
    undisturbed: tuple[bytes, bytes],
    tiny_base: Path,
    photos: tuple[TrainingSample, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", DATE)
    assert in_child(tiny_base, photos, tmp_path, step) == -signal.SIGKILL
    assert not (tmp_path / "lora.safetensors").exists()
    train(tiny_base, photos, tmp_path)
    assert files(tmp_path) == undisturbed


def test_killed_again_and_again_at_any_moment(
    undisturbed: tuple[bytes, bytes],
    tiny_base: Path,
    photos: tuple[TrainingSample, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", DATE)
    # from so early that no machine is done by then, to so late that a slow one has begun
    codes = [in_child(tiny_base, photos, tmp_path, seconds=seconds) for seconds in (0.02, 0.07, 0.2, 0.5, 1.0)]
    assert -signal.SIGKILL in codes
    train(tiny_base, photos, tmp_path)
    assert files(tmp_path) == undisturbed


@pytest.fixture(scope="module")
def longer(
    undisturbed: tuple[bytes, bytes],
    tiny_base: Path,
    photos: tuple[TrainingSample, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A training with an average and micro-batches, never disturbed."""
    home = tmp_path_factory.mktemp("longer")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", DATE)
        train(tiny_base, photos, home, settings=LONGER)
    return home


def equal_tensors(one: Path, other: Path) -> tuple[int, int]:
    """How many tensors of the last checkpoint and of both files are equal, of how many."""
    from safetensors.torch import load_file

    from twinloop.adapters.trainers.records.checkpoints import Checkpoints

    pairs = []
    for name in ("lora.safetensors", "lora_kohya.safetensors"):
        pairs.append((load_file(one / name), load_file(other / name)))
    states = [Checkpoints(home / "work").newest() for home in (one, other)]
    assert states[0] is not None and states[1] is not None and states[0].step == states[1].step == LONGER.steps
    pairs.append((states[0].tensors, states[1].tensors))
    assert all(a.keys() == b.keys() for a, b in pairs)
    same = [bool((a[name] == b[name]).all()) and a[name].dtype == b[name].dtype for a, b in pairs for name in a]
    return sum(same), len(same)


@pytest.mark.slow
def test_killed_at_twenty_random_steps(
    longer: Path, tiny_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One training that dies twenty times: weights, moments, average and the file of figures are those of the
    undisturbed one.
    """
    monkeypatch.setenv("SOURCE_DATE_EPOCH", DATE)
    for step in sorted(random.Random(7).sample(range(1, LONGER.steps), 20)):
        assert in_child(tiny_base, photos, tmp_path, step, LONGER) == -signal.SIGKILL
    train(tiny_base, photos, tmp_path, settings=LONGER)
    same, count = equal_tensors(tmp_path, longer)
    assert same == count > 200
    assert files(tmp_path) == files(longer)
    figures = (tmp_path / "lora.metrics.jsonl").read_bytes()
    assert figures == (longer / "lora.metrics.jsonl").read_bytes()
    assert [json.loads(line)["step"] for line in figures.splitlines()] == list(range(1, LONGER.steps + 1))


@pytest.mark.slow
def test_killed_inside_of_writing_checkpoints(
    longer: Path, tiny_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", DATE)
    for moment in ("half", "before its name", "after"):
        for number in (1, 2):
            code = in_child(tiny_base, photos, tmp_path, moment, number, target=train_and_die_writing)
            assert code == -signal.SIGKILL
    train(tiny_base, photos, tmp_path, settings=LONGER)
    same, count = equal_tensors(tmp_path, longer)
    assert same == count and files(tmp_path) == files(longer)


def test_the_date_of_the_first_start_is_kept(
    tiny_base: Path,
    photos: tuple[TrainingSample, ...],
    undisturbed: tuple[bytes, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", DATE)
    assert in_child(tiny_base, photos, tmp_path, 3) == -signal.SIGKILL
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    train(tiny_base, photos, tmp_path)
    assert files(tmp_path) == undisturbed
