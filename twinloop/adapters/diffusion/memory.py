"""What running out of memory looks like, to this program and to a user; how much there is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
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


NO_ENGINE = "unable to find an engine"
_NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "status_alloc_failed",
    NO_ENGINE,
    "cublas_status_not_initialized when calling `cublascreate",
)
"""What PyTorch's allocators say, and cuBLAS and cuDNN, which take memory of their own and name other reasons where
there is none left."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether this is how PyTorch says, on any device, that memory ran out."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(sign in text for sign in _NO_MEMORY)
    )


SHORT = 1 / 16
"""Share of a GPU's memory under which what is free may be too little for a convolution to work in."""


def is_short_of_memory() -> bool:
    """Whether the GPU has hardly any memory left; True without a GPU that can tell."""
    if not torch.cuda.is_available():
        return True
    free, whole = torch.cuda.mem_get_info()
    return free < SHORT * whole


FULL = 1 / 64
"""Share of a GPU's memory under which what is free counts as nothing."""


class Spill:
    """Watches for a driver that gives out main memory when a GPU's own is full: nothing fails, and everything takes
    many times as long.

    The room that counts is what was free for this process when the watch began; other programs' windows may hold much
    of a card.
    """

    def __init__(self, compute: Compute) -> None:
        self._watches = compute.device.type == "cuda"
        self._room = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() if self._watches else 0

    def seen(self) -> bool:
        """Whether this process holds more memory of the GPU than the GPU has for it."""
        if not self._watches:
            return False
        (free, whole), held = torch.cuda.mem_get_info(), torch.cuda.memory_reserved()
        # with memory left, another program has made room since
        return held > whole or (held > self._room and free < FULL * whole)


def main_memory_left() -> int | None:
    """Bytes of main memory that programs can still have, within the container's limit (cgroup v2); None = nobody
    says.
    """
    left = list[int]()
    with suppress(OSError, psutil.Error):
        left.append(int(psutil.virtual_memory().available))
    with suppress(OSError, ValueError):  # "max" is no number
        group = Path("/sys/fs/cgroup")
        left.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(0, min(left)) if left else None


def release_memory() -> None:
    """Give back what a GPU's allocator holds and nothing uses, of the GPU's memory and of pinned main memory."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        release_pinned_memory()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def release_pinned_memory() -> None:
    """Give back the main memory that was fixed for a GPU and that nothing uses any more; PyTorch would keep it."""
    # the public name is younger than the oldest PyTorch that is supported
    release = getattr(torch.accelerator, "empty_host_cache", None) or getattr(torch._C, "_host_emptyCache", None)
    if release is not None and torch.accelerator.is_available():
        release()
