"""What running out of memory looks like."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from twinloop.adapters.diffusion.memory import memory_errors  # noqa: E402
from twinloop.errors import OutOfMemory  # noqa: E402


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes"),
        RuntimeError("MPS backend out of memory"),
        MemoryError(),
    ],
)
def test_memory_errors_name_what_and_what_to_do(error: Exception) -> None:
    with (
        pytest.raises(OutOfMemory, match=r"The picture does not fit into memory\. Make it smaller\."),
        memory_errors("The picture", "Make it smaller."),
    ):
        raise error


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory_errors("The picture", "Make it smaller."):
        raise RuntimeError("shapes do not match")
