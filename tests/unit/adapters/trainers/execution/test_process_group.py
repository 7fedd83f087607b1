"""Gradients go over the wire in a few large messages."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import distributed  # noqa: E402

from twinloop.adapters.trainers.execution import process_group  # noqa: E402
from twinloop.adapters.trainers.execution.process_group import Workers  # noqa: E402


def test_a_sum_over_processes_takes_few_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []

    def doubled(tensor: Any) -> None:
        sent.append(tensor.numel())
        tensor.mul_(2)

    monkeypatch.setattr(distributed, "all_reduce", doubled)
    monkeypatch.setattr(process_group, "BUCKET", 100 * 4)
    random = torch.Generator().manual_seed(0)
    shapes = [(3, 5), (7,), (90,), (2, 2, 2), (200,), (1,)]
    tensors = [torch.randn(shape, generator=random) for shape in shapes] + [torch.ones(3, dtype=torch.float64)]
    wanted = [tensor * 2 for tensor in tensors]
    Workers(0, 2).all_reduce(tensors)
    assert all(torch.equal(found, due) for found, due in zip(tensors, wanted, strict=True))
    assert sent == [22, 98, 200, 1, 3]


def test_one_process_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "all_reduce", lambda tensor: pytest.fail("sent"))
    tensor = torch.ones(3)
    Workers().all_reduce([tensor])
    assert torch.equal(tensor, torch.ones(3))


@pytest.mark.parametrize(
    ("gpus", "device", "backend"),
    [(0, "auto", "gloo"), (2, "auto", "nccl"), (2, "cuda", "nccl"), (1, "auto", "gloo"), (2, "cpu", "gloo")],
)
def test_gpus_talk_by_nccl_and_a_training_on_the_cpu_does_not(
    monkeypatch: pytest.MonkeyPatch, gpus: int, device: str, backend: str
) -> None:
    begun: list[str] = []
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "set_device", lambda number: None)
    monkeypatch.setattr(distributed, "init_process_group", lambda kind, timeout: begun.append(kind))
    monkeypatch.setattr(distributed, "destroy_process_group", lambda: None)
    with process_group.process_group(device) as found:
        assert (found.rank, found.world_size) == (1, 2)
    assert begun == [backend]
