"""What a training runs on: its order among processes, what is put back, and what is advised where memory ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import TRAINING, samples  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.trainers import training_setup  # noqa: E402
from twinloop.adapters.trainers.execution.process_group import ALONE, Workers  # noqa: E402
from twinloop.adapters.trainers.records.training_record import TrainingRecord  # noqa: E402
from twinloop.adapters.trainers.training_job import TrainingJob  # noqa: E402
from twinloop.adapters.trainers.training_setup import memory_advice, set_up  # noqa: E402
from twinloop.domain.forecast import MemoryPlan  # noqa: E402
from twinloop.errors import OutOfMemory  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

SETTINGS = replace(TRAINING, batch_size=1)


@pytest.fixture
def job(tiny_base: Path, tmp_path: Path) -> TrainingJob:
    base = open_base(BaseChoice(str(tiny_base), "cpu", "float32"), FAMILIES["sdxl"])
    return TrainingJob.of(samples(tmp_path / "photos", count=2), SETTINGS, base)


@pytest.fixture
def record(tmp_path: Path) -> TrainingRecord:
    (tmp_path / "work").mkdir()
    return TrainingRecord(tmp_path / "work", "inputs", "2026-01-01T00:00:00Z", 2)


def test_threads_are_those_of_the_start_inside_alone(job: TrainingJob, record: TrainingRecord) -> None:
    before = torch.get_num_threads()
    other = replace(record, threads=before + 1)
    with set_up(job, other, ALONE, pytest.fail) as setup:
        assert torch.get_num_threads() == before + 1
        assert setup.plan.micro_batch == 1 and setup.data.validation is None
    assert torch.get_num_threads() == before


def test_the_main_process_plans_and_encodes_before_the_others(
    job: TrainingJob, record: TrainingRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others read plan and cache; a training of several processes encodes all photos before its first step."""
    happened = list[str]()

    class Told(Workers):
        @contextmanager
        def main_first(self) -> Iterator[None]:
            happened.append("in")
            yield
            happened.append("out")

    def prepared(*_: Any, lazily: bool) -> Any:
        happened.append(f"data {lazily}")

    plan = MemoryPlan(1, False, 0)
    monkeypatch.setattr(training_setup, "memory_plan", lambda *_, **__: happened.append("plan") or plan)
    monkeypatch.setattr(training_setup, "prepare_data", prepared)
    with set_up(job, record, Told(0, 2), pytest.fail):
        happened.append("steps")
    assert happened == ["in", "plan", "out", "in", "data False", "out", "steps"]


@pytest.mark.parametrize(("where", "more"), [("plan", True), ("data", False), ("steps", False)])
def test_the_advice_is_of_the_plan_once_there_is_one(
    where: str, more: bool, job: TrainingJob, record: TrainingRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all blocks swapped there are no more to swap."""

    def reached(here: str, made: Any = None) -> Any:
        if here == where:
            raise MemoryError
        return made

    blocks = len(training_setup.swappable(job.base.denoiser))
    plan = MemoryPlan(1, True, 0, blocks_to_swap=blocks)
    monkeypatch.setattr(training_setup, "can_swap", lambda base: True)
    monkeypatch.setattr(BaseModel, "swapping", lambda self, count: nullcontext())
    monkeypatch.setattr(training_setup, "memory_plan", lambda *_, **__: reached("plan", plan))
    monkeypatch.setattr(training_setup, "prepare_data", lambda *_, **__: reached("data"))
    with (
        pytest.raises(OutOfMemory, match="Training does not fit") as told,
        set_up(job, record, ALONE, pytest.fail),
    ):
        reached("steps")
    assert ("blocks_to_swap" in str(told.value)) == more


def test_who_allows_it_is_not_told_to() -> None:
    for asked in (None, True):
        advice = memory_advice(replace(SETTINGS, gradient_checkpointing=asked), swaps=False)
        assert "gradient_checkpointing" not in advice and "resolution" in advice and "begins anew" in advice
        assert "blocks_to_swap" not in advice
        assert "blocks_to_swap, or set it higher: the training goes on" in memory_advice(SETTINGS, swaps=True)
