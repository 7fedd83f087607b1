"""What the last bit of a sum depends on: the number of threads, and the kernels of a GPU."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from twinloop.adapters.cores import usable_cores
from twinloop.adapters.diffusion.compute import Compute
from twinloop.adapters.diffusion.memory import NO_ENGINE, is_short_of_memory

_DETERMINISM: Any = torch.utils.deterministic  # its switch is unknown to the type stubs


def thread_count() -> int:
    """``OMP_NUM_THREADS`` if set, else the cores this process may use (affinity and container quota)."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    cores = usable_cores()
    return max(1, min(cores, _quota() or cores))


def _quota() -> int | None:
    """Whole cores of the container's CPU quota (cgroup v2), None when there is none."""
    with contextlib.suppress(OSError, ValueError):
        with open("/sys/fs/cgroup/cpu.max") as file:
            limit, period = file.read().split()
        if limit != "max":
            return max(1, int(limit) // int(period))
    return None


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with so many threads inside; sums depend on it, so one training keeps one count."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def repeatable(compute: Compute) -> Iterator[None]:
    """Ask a GPU for kernels that sum in a fixed order; a CPU does so anyway.

    Where there is no such kernel the usual one is taken.

    PyTorch takes the usual ones of attention's way back, too: `fixed_order` asks for the others.
    """
    if compute.device.type != "cuda":
        yield
        return
    before, filled = torch.are_deterministic_algorithms_enabled(), _DETERMINISM.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    _DETERMINISM.fill_uninitialized_memory = False  # finds bugs of kernels, costs a write of every new tensor
    try:
        with warnings.catch_warnings():
            # once for every kernel that has no such form, in the middle of a progress line
            warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation")
            yield
    finally:
        torch.use_deterministic_algorithms(before)
        _DETERMINISM.fill_uninitialized_memory = filled


def fixed_order(compute: Compute) -> AbstractContextManager[None]:
    """Inside of `repeatable`: take no GPU kernel but those that sum in a fixed order.

    Raises:
        RuntimeError: an operation has no such kernel (`lacks_fixed_order`).
    """
    return _deterministic(compute, True)


def any_order(compute: Compute) -> AbstractContextManager[None]:
    """Inside of `repeatable`: take whatever GPU kernels there are."""
    return _deterministic(compute, False)


@contextmanager
def _deterministic(compute: Compute, strictly: bool) -> Iterator[None]:
    """PyTorch's switch inside, and as `repeatable` has it afterwards."""
    if compute.device.type != "cuda":
        yield
        return
    lenient = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(strictly)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(True, warn_only=lenient)


_UNORDERED = ("does not have a deterministic implementation", "not deterministic because it uses cublas")


def lacks_fixed_order(error: BaseException) -> bool:
    """Whether this is how PyTorch says that an operation cannot sum in a fixed order.

    cuDNN, which finds no engine for a convolution then, says the same where it lacks memory for one: told apart by what
    is free.
    """
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        any(sign in text for sign in _UNORDERED) or (NO_ENGINE in text and not is_short_of_memory())
    )
