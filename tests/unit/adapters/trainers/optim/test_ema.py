"""The average of the weights: what it is, that it survives, that it is worn and taken off."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from twinloop.adapters.trainers.optim.ema import Average  # noqa: E402
from twinloop.errors import StateError  # noqa: E402


def test_it_follows_the_weights_and_starts_fast() -> None:
    parameter = torch.nn.Parameter(torch.zeros(2))
    average, expected = Average({"w": parameter}, 0.9), torch.zeros(2)
    for step in range(1, 200):
        with torch.no_grad():
            parameter.fill_(float(step))
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = expected * decay + step * (1 - decay)
    assert torch.allclose(average.state()["ema/w"], expected)
    assert float(expected[0]) == pytest.approx(199 - 9, abs=0.1)  # nine steps behind, as a decay of 0.9 means


def test_worn_and_taken_off() -> None:
    parameter = torch.nn.Parameter(torch.tensor([1.0]))
    average = Average({"w": parameter}, 0.5)
    with torch.no_grad():
        parameter.fill_(3.0)
    average.update(1)
    with average.applied():
        assert float(parameter.detach()) == pytest.approx(1 + 2 * (1 - 2 / 11))
    assert float(parameter.detach()) == 3.0


def test_none_is_kept_without_a_decay() -> None:
    parameter = torch.nn.Parameter(torch.tensor([1.0]))
    average = Average({"w": parameter}, 0.0)
    average.update(1)
    assert average.state() == {}
    with average.applied():
        assert float(parameter.detach()) == 1.0


def test_it_goes_on_from_its_state() -> None:
    parameter = torch.nn.Parameter(torch.tensor([1.0]))
    first = Average({"w": parameter}, 0.9)
    first.update(1)
    again = Average({"w": torch.nn.Parameter(torch.tensor([9.0]))}, 0.9)
    again.restore(first.state())
    assert torch.equal(again.state()["ema/w"], first.state()["ema/w"])
    other_shape = {"ema/w": torch.tensor([1.0])}
    for wrong in ({}, other_shape):
        with pytest.raises(StateError, match="no average of w"):
            Average({"w": torch.nn.Parameter(torch.zeros(2))}, 0.9).restore(wrong)
