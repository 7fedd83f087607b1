"""A loss that is no number: in float16 the step is left out, by all processes alike; in other precisions the training
ends.
"""

from __future__ import annotations

import json
import math
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
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.trainers import training_loop  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.execution.process_group import ALONE, Workers  # noqa: E402
from twinloop.adapters.trainers.loss.objective import Objective  # noqa: E402
from twinloop.adapters.trainers.optim import loss_scale  # noqa: E402
from twinloop.adapters.trainers.optim.loss_scale import LossScale  # noqa: E402
from twinloop.adapters.trainers.records.checkpoints import Checkpoints  # noqa: E402
from twinloop.adapters.trainers.training_loop import TrainingRun  # noqa: E402
from twinloop.errors import TrainingDiverged  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

SDXL = FAMILIES["sdxl"]
SETTINGS = replace(TRAINING, steps=4, tensorboard=False, batch_size=2)


class Bench:
    def __init__(self, base: Path, home: Path) -> None:
        self._base, self._home, self._photos = base, home, samples(home / "photos", count=2)
        self.shown: list[float] = []

    def train(self, name: str, workers: Workers = ALONE, stop_at: int = 0) -> bytes:
        self.shown.clear()
        choice = BaseChoice(str(self._base), "cpu", "float32")
        trainer = DiffusersLoraTrainer(choice, SDXL, workers=workers)
        output, settings = self._home / name / "lora.safetensors", replace(SETTINGS, stop_at=stop_at)
        work = output.parent / "work"
        trainer.train(self._photos, settings, output, work, {}, lambda *step: self.shown.append(step[2]))
        return output.read_bytes()

    def figures(self, name: str, what: str) -> list[float | None]:
        text = (self._home / name / "lora.metrics.jsonl").read_text()
        return [json.loads(line)[what] for line in text.splitlines()]

    def scale(self, name: str) -> tuple[float, int]:
        """The scale of the loss in the newest checkpoint, and the good steps in a row."""
        kept = Checkpoints(self._home / name / "work").newest()
        assert kept is not None
        return float(kept.tensors[loss_scale.SCALE]), int(kept.tensors[loss_scale.GOOD_STEPS])

    def is_finite(self, name: str) -> bool:
        return all(bool(part.isfinite().all()) for part in load_file(self._home / name / "lora.safetensors").values())


@pytest.fixture
def bench(full_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """With the scale of the loss that float16 begins with."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    monkeypatch.setattr(base, "compute", replace(base.compute, loss_scale=2.0**16))
    return Bench(full_base, tmp_path)


def overflowing(monkeypatch: pytest.MonkeyPatch, when: Callable[[int], bool], value: float = math.inf) -> None:
    """Losses of those steps are no numbers. A step asks for terms once for each size of photo in it."""
    real, real_step, now = Objective.terms, TrainingRun._step, [0]

    def step(self: TrainingRun, number: int, metrics: Any) -> float:
        now[0] = number
        return real_step(self, number, metrics)

    def terms(self: Objective, batch: Any, drawn: Any) -> Any:
        for term in real(self, batch, drawn):
            yield term * value if when(now[0]) else term

    monkeypatch.setattr(TrainingRun, "_step", step)
    monkeypatch.setattr(Objective, "terms", terms)


@pytest.mark.parametrize("first", [1, 3])
def test_a_step_whose_loss_overflowed_is_left_out(bench: Bench, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    overflowing(monkeypatch, lambda step: step == first)
    bench.train("one")
    for what in ("loss", "grad_norm"):
        assert [value is None for value in bench.figures("one", what)] == [step == first for step in (1, 2, 3, 4)]
    assert bench.is_finite("one") and all(map(math.isfinite, bench.shown))
    losses = [loss for loss in bench.figures("one", "loss") if loss is not None]
    assert bench.shown[-1] == pytest.approx(sum(losses) / 3, rel=0.5)  # not an average with a step that was never there


def test_resumed_after_it_the_same_bytes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        overflowing(patch, lambda step: step == 2)
        whole = bench.train("whole")
        overflowing(patch, lambda step: step == 2)
        bench.train("cut", stop_at=2)
    assert bench.train("cut") == whole


def test_another_processs_overflow_leaves_it_out_here_too(bench: Bench) -> None:
    class Second(Workers):
        """Hears of a loss that is no number from the other process, in step 2."""

        asked = 0

        def all_reduce_number(self, value: float) -> float:
            self.asked += 1
            return math.inf if self.asked == 2 else value

    bench.train("two", Second())
    assert [norm is None for norm in bench.figures("two", "grad_norm")] == [False, True, False, False]
    assert bench.is_finite("two")


def test_a_loss_that_stays_no_number_ends_the_training(
    bench: Bench, full_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    monkeypatch.setattr(base, "compute", replace(base.compute, loss_scale=4.0))
    monkeypatch.setattr(training_loop, "MOST_LEFT_OUT", 3)
    overflowing(monkeypatch, lambda step: True, math.nan)
    with pytest.raises(TrainingDiverged, match=r"The loss is no longer a number at step 3\. Lower"):
        bench.train("lost")


def test_gradients_that_overflow_at_the_least_scale_end_the_training(
    bench: Bench, full_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    monkeypatch.setattr(base, "compute", replace(base.compute, loss_scale=1.0))
    monkeypatch.setattr(TrainingRun, "_update", lambda self, rate: math.inf)
    with pytest.raises(TrainingDiverged, match="gradients are no longer numbers at step 1"):
        bench.train("lost")


def test_now_and_then_one_is_left_out_without_an_end_and_without_touching_the_scale(
    bench: Bench, full_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scale multiplies what goes back only: a smaller one would not help, and gradients would be lost below."""
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    monkeypatch.setattr(base, "compute", replace(base.compute, loss_scale=4.0))
    monkeypatch.setattr(training_loop, "MOST_LEFT_OUT", 2)
    scales: list[float] = []
    monkeypatch.setattr(LossScale, "overflowed", lambda self: scales.append(self.value))
    overflowing(monkeypatch, lambda step: step in (1, 3))
    bench.train("one")
    assert [value is None for value in bench.figures("one", "loss")] == [True, False, True, False] and scales == []
    # of four steps two were good ones
    assert bench.scale("one") == (4.0, 2)


def test_a_scale_that_fell_grows_again_and_is_taken_up_where_it_was(
    bench: Bench, full_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    monkeypatch.setattr(base, "compute", replace(base.compute, loss_scale=2.0))
    monkeypatch.setattr(loss_scale, "GROWTH_INTERVAL", 2)
    real, steps = TrainingRun._update, list[int]()

    def update(self: TrainingRun, rate: float) -> float:
        """The gradients of steps 1 and 4 overflow: more often than a scale of 2 can be halved."""
        steps.append(len(steps) + 1)
        norm = real(self, rate)
        return math.inf if steps[-1] in (1, 4) else norm

    monkeypatch.setattr(TrainingRun, "_update", update)
    whole = bench.train("whole")
    assert bench.scale("whole") == (1.0, 0)
    for cut in (1, 2, 3):
        steps.clear()
        bench.train(f"cut {cut}", stop_at=cut)
        assert bench.scale(f"cut {cut}") == {1: (1.0, 0), 2: (1.0, 1), 3: (2.0, 0)}[cut]
        assert bench.train(f"cut {cut}") == whole and bench.scale(f"cut {cut}") == (1.0, 0)
