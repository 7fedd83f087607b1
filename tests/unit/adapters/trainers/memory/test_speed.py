"""The time of a training on a CPU: of a small model its own pass is timed, for as long as other programs make it
uneven.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import TRAINING  # noqa: E402
from tests.helpers.training_memory import demand_of, forecast  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.compute import Compute  # noqa: E402
from twinloop.adapters.trainers.memory import planning, speed  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

CPU = Compute(torch.device("cpu"), torch.float32, None)
GPU = Compute(torch.device("cuda"), torch.bfloat16, torch.bfloat16)
STEPS = replace(TRAINING, steps=10, batch_size=2, gradient_accumulation=3)


@pytest.fixture
def base(full_base: Path) -> BaseModel:
    return open_base(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"])


class Clock:
    """Seconds that only work takes. ``given``: share of them that the processors spend on it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, load: float, given: float = 1.0) -> None:
        self.now = 0.0
        monkeypatch.setattr(speed.time, "process_time", lambda: given * self.now)
        monkeypatch.setattr(speed.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(speed, "is_busy", lambda: load > 2.2)

    def taking(self, seconds: Iterator[float]) -> Callable[[], None]:
        def work() -> None:
            self.now += next(seconds)

        return work


@pytest.mark.parametrize(
    ("compute", "weights", "operations", "pictures"),
    [
        (CPU, 36 << 20, 3.4e9, 2),
        (CPU, 36 << 20, 1e6, 8),
        (CPU, 36 << 20, 2e10, 1),
        (CPU, 36 << 20, 4e10, 0),
        (CPU, 2 << 30, 3.4e9, 0),
        (GPU, 36 << 20, 3.4e9, 0),
    ],
)
def test_a_pass_is_taken_where_it_is_cheap(compute: Compute, weights: int, operations: float, pictures: int) -> None:
    assert speed.pictures_to_time(compute, weights, operations, micro_batch=8) == pictures


def test_a_small_model_takes_as_long_as_its_own_passes(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the speed of products is: such a model waits for calls of PyTorch, not for them."""
    passes = list[object]()

    def timed(work: Callable[[], object]) -> speed.Timing:
        passes.append(work())
        return speed.Timing(0.5, shared=False)

    monkeypatch.setattr(speed, "_timed", timed)
    monkeypatch.setattr(planning, "of_products", pytest.fail)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    before = {name: value.clone() for name, value in base.denoiser.state_dict().items()}
    found = forecast(base, STEPS, 10)
    assert found.seconds == pytest.approx(STEPS.steps * STEPS.gradient_accumulation * 0.5) and len(passes) == 1
    assert found.line.endswith("about 15 s.") and not found.rough
    assert torch.equal(torch.rand(3), expected), "PyTorch's random numbers go on as without it"
    after = base.denoiser.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(parameter.requires_grad for parameter in base.denoiser.parameters())


def test_a_large_model_goes_by_products_and_is_a_rough_guess(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "SMALL_WEIGHTS", 0)
    monkeypatch.setattr(planning, "of_products", lambda compute: (1e3, False))
    found = forecast(base, STEPS, 10)
    demand, _ = demand_of(base, STEPS)
    assert found.seconds == pytest.approx(10 * demand.operations(False) / (speed.BUSY_SHARE * 1e3))
    assert found.line.endswith("hours as a rough guess (no step was timed).")


def test_a_pass_that_fails_costs_no_forecast(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(work: Callable[[], object]) -> speed.Timing:
        work()
        raise RuntimeError("not enough memory")

    monkeypatch.setattr(speed, "_timed", fail)
    monkeypatch.setattr(planning, "of_products", lambda compute: (1e3, False))
    assert forecast(base, STEPS, 10).rough == "no step was timed"
    assert not any("lora" in name for name, _ in base.denoiser.named_parameters()), "the base is bare again"


@pytest.mark.parametrize(
    "changes",
    [
        {"text_encoder": True},
        {"adapter": "dora"},
        {"gradient_checkpointing": True},
        {"rank_dropout": 0.5},
        {"adapter": "lokr"},
    ],
)
def test_every_kind_of_training_is_timed(changes: dict[str, Any], base: BaseModel) -> None:
    found = forecast(base, replace(STEPS, **changes), 10)
    assert found.seconds is not None and found.seconds > 0 and found.rough != "no step was timed"


def test_other_programs_make_it_a_rough_guess(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_timed", lambda work: speed.Timing(20.0, shared=True))
    assert "10 minutes as a rough guess (other programs are at work)." in forecast(base, STEPS, 10).line


@pytest.mark.parametrize(
    ("load", "given", "shared"), [(2.0, 1.9, False), (2.0, 0.3, True), (20.0, 1.9, True), (20.0, 0.3, True)]
)
def test_beside_other_programs_more_of_their_turns_are_waited_for(
    load: float, given: float, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, load, given)
    assert speed._timed(clock.taking(iter([0.125] * 1000))) == speed.Timing(0.125, shared)
    wanted = speed.BUSY if shared else speed.QUIET
    assert wanted <= clock.now < wanted + 0.2


@pytest.mark.parametrize(("each", "waited"), [(0.5, 1.5), (1.25, 3.75), (60.0, 60.0)])
def test_one_pass_alone_is_no_mean_unless_it_is_very_slow(
    each: float, waited: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, 20.0)
    speed._timed(clock.taking(iter([each] * 1000)))
    assert clock.now == waited


def test_a_turn_of_others_counts_as_it_does_in_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine quick ones and one that waits: the middle one would be fifty times too quick."""
    clock = Clock(monkeypatch, 20.0)
    taken = speed._timed(clock.taking(iter(([0.01] * 9 + [0.91]) * 1000)))
    assert taken.seconds == pytest.approx(0.1, rel=0.35)


def test_products_are_timed() -> None:
    assert speed.of_products(CPU)[0] > 1e6
