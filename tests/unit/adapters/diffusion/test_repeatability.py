"""What sums depend on: threads and kernels."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from twinloop.adapters.diffusion.compute import Compute  # noqa: E402
from twinloop.adapters.diffusion.repeatability import repeatable, thread_count, threads  # noqa: E402


def test_the_environment_decides_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert thread_count() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert thread_count() >= 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(
        "twinloop.adapters.diffusion.repeatability.os.sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False
    )
    monkeypatch.setattr("twinloop.adapters.diffusion.repeatability._quota", lambda: 2)
    assert thread_count() == 2
    monkeypatch.setattr("twinloop.adapters.diffusion.repeatability._quota", lambda: None)
    assert thread_count() == 4


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_a_cpu_needs_no_other_kernels_to_be_repeatable() -> None:
    with repeatable(Compute(torch.device("cpu"), torch.float32, None)):
        assert not torch.are_deterministic_algorithms_enabled()
