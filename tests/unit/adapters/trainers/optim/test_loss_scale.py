"""The factor on the loss of a training in float16, step by step beside PyTorch's own."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from twinloop.adapters.diffusion.compute import Compute  # noqa: E402
from twinloop.adapters.trainers.optim import loss_scale  # noqa: E402
from twinloop.adapters.trainers.optim.loss_scale import LossScale  # noqa: E402

FLOAT16 = Compute(torch.device("cpu"), torch.float16, torch.float16, 2.0**16)


def after(scale: LossScale, *overflows: bool) -> list[float]:
    """The scale after each of these steps."""
    found = []
    for overflowed in overflows:
        (scale.overflowed if overflowed else scale.held)()
        found.append(scale.value)
    return found


def test_it_is_what_pytorchs_grad_scaler_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "GROWTH_INTERVAL", 3)
    theirs = torch.amp.GradScaler("cpu", init_scale=2.0**16, growth_interval=3)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.0)
    ours, chance = LossScale(FLOAT16), random.Random(0)
    seen = set()
    for _ in range(100):
        overflowed = chance.random() < 0.3
        theirs.scale(parameter.sum()).backward()
        if overflowed:
            parameter.grad = torch.full((1,), torch.inf)
        theirs.step(optimizer)
        theirs.update()
        optimizer.zero_grad()
        assert after(ours, overflowed) == [theirs.get_scale()]
        seen.add(ours.value)
    assert len(seen) > 5, "it hardly moved"


def test_the_numbers_are_those_of_pytorchs_grad_scaler() -> None:
    theirs = torch.amp.GradScaler("cpu")
    assert theirs.get_growth_interval() == loss_scale.GROWTH_INTERVAL
    assert loss_scale.FACTOR == theirs.get_growth_factor() == 1 / theirs.get_backoff_factor()


def test_seventeen_overflows_far_apart_end_nothing() -> None:
    scale = LossScale(FLOAT16)
    for _ in range(40):
        assert scale.can_fall
        after(scale, True, *(False,) * loss_scale.GROWTH_INTERVAL)
    assert scale.value == 2.0**16


def test_it_grows_to_a_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "GROWTH_INTERVAL", 1)
    assert after(LossScale(FLOAT16), *(False,) * 20)[-1] == loss_scale.MOST
    above = LossScale(replace(FLOAT16, loss_scale=2.0**30))
    assert after(above, False, True) == [2.0**30, 2.0**29]


def test_taken_up_again_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "GROWTH_INTERVAL", 4)
    steps = (True, False, False, True, False, False, False, False, False, True)
    whole = after(LossScale(FLOAT16), *steps)
    for cut in range(len(steps)):
        first, second = LossScale(FLOAT16), LossScale(FLOAT16)
        after(first, *steps[:cut])
        second.restore(first.state())
        assert after(second, *steps[cut:]) == whole[cut:]


def test_a_checkpoint_without_the_count_begins_at_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "GROWTH_INTERVAL", 2)
    scale = LossScale(FLOAT16)
    scale.restore({loss_scale.SCALE: torch.tensor([8.0], dtype=torch.float64)})
    assert after(scale, False, False) == [8.0, 16.0]


def test_precisions_that_need_none_keep_one_and_write_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "GROWTH_INTERVAL", 1)
    scale = LossScale(Compute(torch.device("cpu"), torch.bfloat16, torch.bfloat16))
    assert after(scale, False, False) == [1.0, 1.0]
    assert not scale.can_fall and not scale.is_used and scale.state() == {}
