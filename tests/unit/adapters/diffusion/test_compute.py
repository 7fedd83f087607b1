"""Devices and precisions."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from twinloop.adapters.diffusion import compute  # noqa: E402
from twinloop.adapters.diffusion.compute import choose_compute  # noqa: E402
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
