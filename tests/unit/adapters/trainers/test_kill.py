"""kill -9 while a LoRA is trained: the next call ends in the same bytes as an undisturbed training."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.contract.makers import TRAINING, samples
from twinloop.domain.records import TrainingSample
from twinloop.families import FAMILIES
from twinloop.store.lora_file import kohya_path

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*"),
]
DATE = "1700000000"


def train(base: Path, photos: tuple[TrainingSample, ...], home: Path, kill_after: int = 0) -> None:
    from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer

    def progress(step: int, steps: int, loss: float) -> None:
        if step == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

    trainer = DiffusersLoraTrainer(str(base), FAMILIES["sdxl"], device="cpu")
    trainer.train(photos, TRAINING, home / "lora.safetensors", home / "work", {}, progress)


def in_child(*arguments: object, seconds: float | None = None) -> int:
    """Exit code of a forked training; with ``seconds`` it is killed from outside after that time."""
    child = multiprocessing.get_context("fork").Process(target=train, args=arguments)
    child.start()
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
    moments = random.Random(4)
    codes = [in_child(tiny_base, photos, tmp_path, seconds=moments.uniform(0.05, 1.0)) for _ in range(5)]
    assert -signal.SIGKILL in codes
    train(tiny_base, photos, tmp_path)
    assert files(tmp_path) == undisturbed


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
