"""Devices and precisions."""

from __future__ import annotations

import functools
import re
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from twinloop.adapters.diffusion import compute  # noqa: E402
from twinloop.adapters.diffusion.compute import _check_kernels, choose_compute  # noqa: E402
from twinloop.errors import InputError  # noqa: E402


def test_float32_is_exact() -> None:
    exact = choose_compute("cpu", "float32")
    assert (exact.dtype, exact.mixed, exact.exact) == (torch.float32, None, True)
    assert exact.name != choose_compute("cpu").name


def test_a_cpu_keeps_float32_weights_unless_it_is_asked_for_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "_cpu_computes_bfloat16", lambda: True)
    assert choose_compute("cpu").dtype == torch.float32
    asked = choose_compute("cpu", "bfloat16")
    assert (asked.dtype, asked.mixed, asked.exact, asked.loss_scale) == (torch.bfloat16, torch.bfloat16, False, 1.0)
    assert asked.name == "cpu-bfloat16-bfloat16"


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_cpu_says_what_it_cannot_compute(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "_cpu_computes_bfloat16", lambda: False)
    with pytest.raises(InputError, match=rf'"{precision}" weights need a GPU.*Use "precision": "auto"'):
        choose_compute("cpu", precision)


def test_a_device_that_is_not_there() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match='"device": "auto"'):
        choose_compute("cuda")
    assert choose_compute("auto").dtype in (torch.float32, torch.float16)


@pytest.mark.parametrize(
    ("gpu", "apple", "told"),
    [(True, False, "cuda (Some GPU, 24 GiB)"), (False, True, "mps"), (False, False, "cpu")],
)
def test_the_device_is_named_with_its_memory(
    gpu: bool, apple: bool, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "Some GPU")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: SimpleNamespace(total_memory=24 * 2**30))
    assert compute.device_name() == told


@pytest.fixture
def turing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card without bfloat16."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "Some GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80", "sm_120"])
    monkeypatch.setattr(compute, "_check_kernels", lambda: None)


@pytest.mark.usefixtures("turing")
def test_a_model_that_overflows_in_float16_is_computed_in_float32_unless_the_user_wants_it() -> None:
    assert choose_compute("cuda", "auto", None, False).dtype == torch.float16
    assert choose_compute("cuda", "auto", None, True) == choose_compute("cuda", "float32")
    assert choose_compute("cuda", "float16", None, True).dtype == torch.float16
    assert choose_compute("cuda", "bfloat16", None, True).dtype == torch.bfloat16
    assert not choose_compute("cpu", "auto", None, True).exact


@pytest.mark.parametrize(
    ("architecture", "dtype"),
    [
        ("gfx906:sramecc+:xnack-", torch.float16),  # Vega 20: Radeon VII, MI50
        ("gfx90c:xnack-", torch.float16),  # Vega in processors
        ("gfx1030", torch.float16),  # RX 6800
        ("gfx1010:xnack-", torch.float16),  # RX 5700
        ("gfx803", torch.float16),
        ("gfx908:sramecc+:xnack-", torch.bfloat16),  # MI100
        ("gfx90a:sramecc+:xnack-", torch.bfloat16),  # MI200
        ("gfx942:sramecc+:xnack-", torch.bfloat16),  # MI300
        ("gfx1100", torch.bfloat16),  # RX 7900
        ("gfx1201", torch.bfloat16),  # RX 9070
    ],
)
def test_amds_cards_that_emulate_bfloat16_get_float16(
    architecture: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch says that all of them have it."""
    monkeypatch.setattr(torch.version, "hip", "6.4")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(gcnArchName=architecture))
    monkeypatch.setattr(compute, "_check_kernels", lambda: None)
    assert choose_compute("cuda").dtype == dtype
    assert choose_compute("cuda", "bfloat16").dtype == torch.bfloat16


@pytest.mark.parametrize(("major", "dtype"), [(6, torch.float16), (7, torch.float16), (8, torch.bfloat16)])
def test_nvidias_cards_have_bfloat16_from_ampere_on(
    major: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The V100 and the T4 (7.x) emulate it, which PyTorch counts as supported unless it is asked otherwise."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(major=major))
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda _: True, raising=False)
    monkeypatch.setattr(compute, "_check_kernels", lambda: None)
    assert choose_compute("cuda").dtype == dtype


def product(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A device whose first kernel fails so."""

    def ones(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(compute, "_check_kernels", functools.cache(_check_kernels.__wrapped__))
    monkeypatch.setattr(torch, "ones", ones)


@pytest.mark.usefixtures("turing")
@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_a_card_that_is_too_old_for_this_pytorch(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    product(monkeypatch, RuntimeError("CUDA error: no kernel image is available for execution on the device"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with pytest.raises(InputError, match=r'Some GPU.*older than.*"device": "cpu".*PyTorch [0-9.]+ for CUDA 12\.6\.$'):
        choose_compute(device)
    assert "older than" in compute.unused_gpu(device) and compute.unused_gpu("cpu") == ""


@pytest.mark.usefixtures("turing")
def test_a_card_that_is_too_new_for_this_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """An RTX 50 on a build for CUDA 12.6: one for older cards would not help it."""
    product(monkeypatch, RuntimeError("CUDA error: no kernel image is available for execution on the device"))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_50", "sm_80", "sm_90", "sm_90a"])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (12, 0))
    with pytest.raises(InputError, match=r"Some GPU.*newer than.*build for newer cards.*for CUDA 13\.0\.$"):
        choose_compute("cuda")


@pytest.mark.usefixtures("turing")
def test_a_card_of_amd_that_pytorch_was_not_built_for(monkeypatch: pytest.MonkeyPatch) -> None:
    product(monkeypatch, RuntimeError("HIP error: invalid device function"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(torch.version, "hip", "6.4")
    with pytest.raises(InputError, match=r'Some GPU.*not one that this PyTorch.*"device": "cpu"$'):
        choose_compute("cuda")


@pytest.mark.usefixtures("turing")
def test_other_failures_are_told_by_who_meets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    product(monkeypatch, torch.OutOfMemoryError("CUDA out of memory"))
    assert choose_compute("cuda").in_float16


@pytest.mark.parametrize(
    ("built", "told"),
    [
        (None, r"CPU build.*PyTorch [0-9.]+ for CUDA 13\.0\.$"),
        ("13.0", r"driver may be too old for PyTorch's CUDA 13\.0.*PyTorch [0-9.]+ for CUDA 12\.6\.$"),
    ],
)
def test_a_gpu_that_pytorch_does_not_see(built: str | None, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(compute, "has_nvidia_driver", lambda: True)
    assert compute.unused_gpu("auto") == "", "the tests hide it"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert re.search(told, compute.unused_gpu("auto"))
    assert compute.unused_gpu("cpu") == ""
    monkeypatch.setattr(compute, "has_nvidia_driver", lambda: False)
    assert compute.unused_gpu("auto") == ""
