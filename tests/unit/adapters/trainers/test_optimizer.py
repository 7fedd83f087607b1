"""The optimizer: its state survives as named tensors, and the scale of the loss leaves no trace."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from twinloop.adapters.trainers.optimizer import Optimizer  # noqa: E402
from twinloop.errors import StateError  # noqa: E402


def made(seed: int = 0) -> tuple[dict[str, torch.nn.Parameter], Optimizer]:
    generator = torch.Generator().manual_seed(seed)
    parameters = {name: torch.nn.Parameter(torch.randn(5, 3, generator=generator)) for name in ("down", "up")}
    return parameters, Optimizer(parameters, "adamw")


def walk(parameters: dict[str, torch.nn.Parameter], optimizer: Optimizer, steps: range, scale: float = 1.0) -> None:
    for step in steps:
        loss = sum((parameter * step).sin().square().sum() for parameter in parameters.values())
        torch.autograd.backward(loss * scale)
        optimizer.step(0.01, scale)


def test_going_on_from_a_state_is_going_on() -> None:
    parameters, optimizer = made()
    walk(parameters, optimizer, range(1, 6))
    kept = {name: tensor.clone() for name, tensor in optimizer.state().items()}
    walk(parameters, optimizer, range(6, 11))
    others, again = made(seed=9)
    again.restore(kept)
    walk(others, again, range(6, 11))
    assert all(torch.equal(others[name], parameters[name]) for name in parameters)


def test_a_scaled_loss_gives_the_same_steps() -> None:
    results = []
    for scale in (1.0, 1024.0):
        parameters, optimizer = made()
        walk(parameters, optimizer, range(1, 6), scale)
        results.append(parameters)
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


def test_large_gradients_are_clipped() -> None:
    parameter = torch.nn.Parameter(torch.zeros(4))
    optimizer = Optimizer({"only": parameter}, "adamw")
    (parameter * 1e6).sum().backward()
    optimizer.step(0.01)
    assert optimizer.state()["only/exp_avg"].norm() == pytest.approx(0.1, rel=1e-3)  # (1 - beta) x norm 1


def test_a_state_of_another_lora_is_refused() -> None:
    _, optimizer = made()
    with pytest.raises(StateError, match="does not fit"):
        optimizer.restore({"down": torch.zeros(2, 2)})
