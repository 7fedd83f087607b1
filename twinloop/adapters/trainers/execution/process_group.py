"""The processes that share one training: each takes its part of every step's pictures, and all take the same step."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from twinloop.errors import InputError
from twinloop.system import WINDOWS

BUCKET = 25 << 20
"""Bytes that are sent at once, as PyTorch's DistributedDataParallel does."""


PATIENCE = timedelta(hours=24)
"""The others wait while the main process encodes all photos, which may take longer than the minutes that are usual;
torchrun ends them when one dies."""


class Workers:
    """This process, ``rank`` from 0, among the ``world_size`` processes that share a training; alone by default.

    The pictures of a step do not depend on how many processes there are, so neither does the training, but for the
    rounding of sums.
    """

    def __init__(self, rank: int = 0, world_size: int = 1) -> None:
        self.rank, self.world_size = rank, world_size

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def share(self, pictures: int) -> tuple[int, int]:
        """First and last (exclusive) of a step's pictures that this process takes."""
        return self.rank * pictures // self.world_size, (self.rank + 1) * pictures // self.world_size

    def all_reduce(self, tensors: Iterable[Tensor]) -> None:
        """The sum over all processes, in the place of each tensor."""
        if self.world_size > 1:
            for bucket in _buckets(tensors):
                together = torch.cat([tensor.flatten() for tensor in bucket])
                dist.all_reduce(together)
                for tensor, part in zip(
                    bucket, torch.split(together, [tensor.numel() for tensor in bucket]), strict=True
                ):
                    tensor.copy_(part.view_as(tensor))

    def all_reduce_number(self, value: float) -> float:
        """The sum over all processes."""
        return float(self.all_reduce_numbers(torch.tensor([value], dtype=torch.float64)))

    def all_reduce_numbers(self, values: Tensor) -> Tensor:
        """Each number's sum over all processes, on the CPU."""
        whole = values.cuda() if self.world_size > 1 and dist.get_backend() == "nccl" else values.clone()
        self.all_reduce([whole])
        return whole.cpu()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The main process goes through before the others, which then find what it made."""
        if self.world_size > 1 and not self.is_main:
            dist.barrier()
        yield
        if self.world_size > 1 and self.is_main:
            dist.barrier()


ALONE = Workers()
"""The one process of a training that is not shared."""


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Runs of tensors of one kind and at most `BUCKET` bytes: a LoRA has a thousand small ones, and each message takes
    its time.
    """
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
        InputError: its pictures cannot be divided among them, or the system cannot start them.
    """
    if WINDOWS and count > 1:
        raise InputError(
            f"training.processes: {count} processes cannot share a training on Windows, whose builds of PyTorch lack"
            " what torchrun needs (libuv). Leave processes at 1, or train on Linux (also in WSL)."
        )
    if pictures % count:
        raise InputError(
            f"training.processes: {count} processes cannot share the {pictures} pictures of a step evenly. "
            "Make batch_size x gradient_accumulation a multiple of their number."
        )


@contextmanager
def process_group(device: str) -> Iterator[Workers]:
    """The group that torchrun put this process into: NCCL between GPUs, gloo otherwise.

    Args:
        device: as it was asked for; tensors of a training on the CPU are nothing that NCCL takes.
    """
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % gpus)
    dist.init_process_group("nccl" if gpus >= count else "gloo", timeout=PATIENCE)
    try:
        yield Workers(rank, count)
    finally:
        dist.destroy_process_group()
