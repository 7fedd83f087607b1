"""A few processes of one thread each that train together: gradients are averaged over gloo."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor


@dataclass(frozen=True)
class Team:
    """This process's place among ``size`` processes."""

    rank: int = 0
    size: int = 1

    def add_up(self, tensors: Sequence[Tensor], *, mean: bool = False) -> None:
        """Replace each tensor by its sum (or mean) over the processes; sent in bf16 as one message."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors]).to(torch.bfloat16)
        dist.all_reduce(flat)
        whole = flat.float().div_(self.size) if mean else flat.float()
        for tensor, part in zip(tensors, torch.split(whole, [t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            dist.barrier()

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Mean of the gradients over the processes; all must have gradients for the same parameters."""
        self.add_up([p.grad for p in parameters if p.grad is not None], mean=True)


def run_team(size: int, port: int, work: Callable[..., None], *arguments: Any) -> None:
    """Call ``work(team, *arguments)`` in ``size`` new processes and wait for them all."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    mp.spawn(_member, args=(size, port, work, arguments), nprocs=size, join=True)  # type: ignore[attr-defined, no-untyped-call]


def _member(rank: int, size: int, port: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    if size > 1:
        where = f"tcp://127.0.0.1:{port}"
        dist.init_process_group("gloo", init_method=where, rank=rank, world_size=size, timeout=timedelta(minutes=30))
    work(Team(rank, size), *arguments)
    if size > 1:
        dist.destroy_process_group()
