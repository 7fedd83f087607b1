"""Threads, precisions, and what running out of memory looks like."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from twinloop.adapters.diffusion.compute import (  # noqa: E402
    Compute,
    compute_mixed,
    memory_errors,
    repeatable,
    thread_count,
    threads,
)
from twinloop.errors import OutOfMemory  # noqa: E402


def test_the_environment_decides_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert thread_count() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert thread_count() >= 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(
        "twinloop.adapters.diffusion.compute.os.sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False
    )
    monkeypatch.setattr("twinloop.adapters.diffusion.compute._quota", lambda: 2)
    assert thread_count() == 2
    monkeypatch.setattr("twinloop.adapters.diffusion.compute._quota", lambda: None)
    assert thread_count() == 4


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


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


def test_mixed_products_are_answered_in_float32() -> None:
    class Denoiser(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(64, 64)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
            return (self.layer(x),)

    plain = Denoiser()
    x = torch.randn(8, 64)
    exact = plain(x)[0]
    compute_mixed(plain, Compute(torch.device("cpu"), torch.float32, None))
    assert torch.equal(plain(x)[0], exact)
    compute_mixed(plain, Compute(torch.device("cpu"), torch.float32, torch.bfloat16))
    mixed = plain(x)[0]
    assert mixed.dtype == torch.float32 and not torch.equal(mixed, exact)
    assert torch.allclose(mixed, exact, atol=0.05)


def test_a_cpu_needs_no_other_kernels_to_be_repeatable() -> None:
    with repeatable(Compute(torch.device("cpu"), torch.float32, None)):
        assert not torch.are_deterministic_algorithms_enabled()
