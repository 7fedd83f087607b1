"""What running out of memory looks like, to this program and to a user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from twinloop.adapters.diffusion.compute import Compute
from twinloop.errors import OutOfMemory


@contextmanager
def memory_errors(what: str, advice: str) -> Iterator[None]:
    """Turn PyTorch's out-of-memory errors of any device into one clear error.

    Raises:
        OutOfMemory: naming ``what`` did not fit, and ``advice``.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if ran_out_of_memory(error):
            raise OutOfMemory(f"{what} does not fit into memory. {advice}") from error
        raise


_NO_MEMORY = ("out of memory", "can't allocate memory", "status_alloc_failed")
"""What PyTorch's allocators say, and cuBLAS and cuDNN, which take memory of their own."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether this is how PyTorch says, on any device, that memory ran out."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(sign in text for sign in _NO_MEMORY)
    )


def spills(compute: Compute) -> bool:
    """Whether this process holds more memory of the GPU than the GPU has."""
    return compute.device.type == "cuda" and torch.cuda.memory_reserved() > torch.cuda.mem_get_info()[1]


def release_memory() -> None:
    """Give back what a GPU's allocator holds and nothing uses."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
