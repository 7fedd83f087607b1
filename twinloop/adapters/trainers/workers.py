"""The processes that share one training: each takes its part of every step's pictures, and all take the same step."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from twinloop.errors import InputError

BUCKET = 25 << 20
"""Bytes that are sent at once, as PyTorch's own data-parallel training does."""


class Workers:
    """One process among ``count``, ``rank`` from 0; alone where nothing else is said.

    The pictures of a step do not depend on how many processes there are, so neither does the training, but for the rounding of sums.
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def part(self, pictures: int) -> tuple[int, int]:
        """First and last (exclusive) of a step's pictures that this process takes."""
        return self.rank * pictures // self.count, (self.rank + 1) * pictures // self.count

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Sum over all processes, in place."""
        if self.count > 1:
            for bucket in _buckets(tensors):
                together = torch.cat([tensor.flatten() for tensor in bucket])
                dist.all_reduce(together)
                for tensor, part in zip(
                    bucket, torch.split(together, [tensor.numel() for tensor in bucket]), strict=True
                ):
                    tensor.copy_(part.view_as(tensor))

    def total(self, value: float) -> float:
        """Sum over all processes."""
        whole = torch.tensor([value], dtype=torch.float64)
        if self.count > 1 and dist.get_backend() == "nccl":
            whole = whole.cuda()
        self.add_up([whole])
        return float(whole)

    @contextmanager
    def one_first(self) -> Iterator[None]:
        """The leading process goes through before the others, which then find what it made."""
        if self.count > 1 and not self.leads:
            dist.barrier()
        yield
        if self.count > 1 and self.leads:
            dist.barrier()


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Runs of tensors of one kind and at most `BUCKET` bytes: a LoRA has a thousand small ones, and each message takes its time."""
    bucket: list[Tensor] = []
    held = 0
    for tensor in tensors:
        if bucket and (held + tensor.nbytes > BUCKET or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, held = [], 0
        bucket.append(tensor)
        held += tensor.nbytes
    if bucket:
        yield bucket


def check_processes(count: int, pictures: int) -> None:
    """Whether so many processes can share a step.

    Raises:
        InputError: its pictures cannot be divided among them.
    """
    if pictures % count:
        raise InputError(
            f"training.processes: {count} processes cannot share the {pictures} pictures of a step evenly. "
            "Make batch_size x gradient_accumulation a multiple of their number."
        )


@contextmanager
def joined() -> Iterator[Workers]:
    """The group that torchrun put this process into: NCCL between GPUs, gloo otherwise."""
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    gpus = torch.cuda.device_count()
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % gpus)
    dist.init_process_group("nccl" if gpus >= count else "gloo")
    try:
        yield Workers(rank, count)
    finally:
        dist.destroy_process_group()
