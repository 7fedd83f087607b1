"""What sums depend on: threads and kernels."""

from __future__ import annotations

import warnings

import pytest

torch = pytest.importorskip("torch")

from twinloop.adapters.diffusion.compute import Compute  # noqa: E402
from twinloop.adapters.diffusion.repeatability import (  # noqa: E402
    fixed_order,
    lacks_fixed_order,
    repeatable,
    thread_count,
    threads,
)

GPU = Compute(torch.device("cuda"), torch.bfloat16, torch.bfloat16)


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
    with fixed_order(Compute(torch.device("cpu"), torch.float32, None)):
        assert not torch.are_deterministic_algorithms_enabled()


def switches() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def test_a_gpu_is_asked_for_ordered_kernels_and_inside_takes_no_others() -> None:
    """PyTorch chooses attention's ordered way back only where it must not just warn."""
    with repeatable(GPU):
        assert switches() == (True, True)
        with pytest.raises(KeyboardInterrupt), fixed_order(GPU):
            assert switches() == (True, False)
            raise KeyboardInterrupt
        assert switches() == (True, True)
    assert switches() == (False, False)


def unordered() -> None:
    """An operation without an ordered kernel, on the CPU too."""
    torch.zeros(4).put_(torch.tensor([0, 0]), torch.ones(2))


def test_an_operation_without_such_a_kernel_is_told_from_other_errors() -> None:
    with repeatable(GPU):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation")
            unordered()
        with fixed_order(GPU), pytest.raises(RuntimeError) as raised:
            unordered()
    assert lacks_fixed_order(raised.value)
    cublas = (
        "Deterministic behavior was enabled, but this operation is not deterministic because it uses CuBLAS and you"
        " have CUDA >= 10.2"
    )
    assert lacks_fixed_order(RuntimeError(cublas))
    assert not lacks_fixed_order(RuntimeError("shapes do not match")) and not lacks_fixed_order(MemoryError())


def test_attention_that_sums_in_any_order_is_said() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with repeatable(GPU):
            warnings.warn("Flash Attention defaults to a non-deterministic algorithm. ", stacklevel=1)
            warnings.warn("f does not have a deterministic implementation, but you set", stacklevel=1)
    assert [str(one.message)[:5] for one in said] == ["Flash"]
