"""Compiled blocks: when, which, and that a compiler that fails costs nothing but a word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import GENERATION, shots  # noqa: E402
from twinloop.adapters.diffusion import regions  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.compute import Compute  # noqa: E402
from twinloop.adapters.diffusion.regions import REGIONAL, Regions, blocks_of, pays  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.errors import OutOfMemory  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

CUDA, CPU = (Compute(torch.device(kind), torch.float32, None) for kind in ("cuda", "cpu"))


@pytest.mark.parametrize(
    ("asked", "compute", "work", "triton", "wanted"),
    [
        (None, CUDA, 600, True, True),
        (None, CUDA, 599, True, False),
        (None, CUDA, 600, False, False),
        (None, CPU, 10**9, True, False),
        (REGIONAL, CPU, 0, False, True),
        ("off", CUDA, 10**9, True, False),
    ],
)
def test_when_compiling_pays(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, compute: Compute, work: int, triton: bool, wanted: bool
) -> None:
    monkeypatch.setattr(regions, "_has_triton", lambda: triton)
    assert pays(asked, compute, work, 600) == wanted


@pytest.fixture
def generator(full_base: Path) -> Iterator[DiffusersGenerator]:
    notices: list[str] = []
    made = DiffusersGenerator(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"], notices.append)
    made.notices = notices  # type: ignore[attr-defined]
    made._base.__dict__.pop("regions", None)
    yield made
    made._base.__dict__.pop("regions", None)  # the base is shared by the tests of this process


def picture(generator: DiffusersGenerator, how: str | None = REGIONAL) -> Any:
    return np.stack([image for _, image in generator.generate(shots(1), replace(GENERATION, compile=how))])


def broken(error: BaseException, calls: list[int]) -> Callable[..., Any]:
    def backend(graph: Any, inputs: Any) -> Any:
        calls.append(1)
        raise error

    return backend


def test_a_compiler_that_fails_is_said_once_and_asked_once(generator: DiffusersGenerator) -> None:
    generator.load_lora(None)
    plain, calls = picture(generator, "off"), list[int]()
    generator._base.regions.backend = broken(OSError("no C compiler\nand so on"), calls)
    assert np.array_equal(picture(generator), plain)
    assert np.array_equal(picture(generator), plain)
    (notice,) = generator.notices  # type: ignore[attr-defined]
    assert "cannot be compiled here" in notice and "no C compiler" in notice and '"compile": "off"' in notice
    assert len(calls) == 1
    assert "no C compiler" in generator._base.regions.failure


def test_memory_that_runs_out_while_compiling_is_no_failure_of_the_compiler(generator: DiffusersGenerator) -> None:
    generator.load_lora(None)
    generator._base.regions.backend = broken(torch.OutOfMemoryError("CUDA out of memory"), [])
    with pytest.raises(OutOfMemory, match=r"Lower generation\.batch_size"):
        picture(generator)
    assert generator._base.regions.failure == "" and generator.notices == []  # type: ignore[attr-defined]


def test_blocks_are_as_they_were_afterwards(generator: DiffusersGenerator) -> None:
    denoiser = generator._base.denoiser
    held = Regions(denoiser, "eager")
    with pytest.raises(ZeroDivisionError), held.compiled(True, print):
        assert all("forward" in vars(block) for block in blocks_of(denoiser))
        raise ZeroDivisionError
    assert blocks_of(denoiser) and not any("forward" in vars(block) for block in blocks_of(denoiser))
    with held.compiled(False, print):
        assert not any("forward" in vars(block) for block in blocks_of(denoiser))


def test_a_training_that_cannot_be_compiled_says_nothing_of_images(generator: DiffusersGenerator) -> None:
    held = Regions(generator._base.denoiser, "eager")
    held.give_up(RuntimeError("on the way back"), training=True)
    assert held.failure == ""
    with held.compiled(True, print):
        assert any("forward" in vars(block) for block in blocks_of(generator._base.denoiser))
    with held.compiled(True, print, retry=False):
        assert not any("forward" in vars(block) for block in blocks_of(generator._base.denoiser))


@pytest.mark.parametrize("offload", ["blocks", "sequential"])
def test_what_is_fetched_when_it_is_its_turn_is_not_compiled(
    offload: str, generator: DiffusersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = list[str]()
    monkeypatch.setattr(generator, "_notice", said.append)
    settings = replace(GENERATION, compile=REGIONAL)
    assert generator._compiles(settings) and generator._compiles(replace(settings, offload="model"))
    assert not generator._compiles(replace(settings, offload=offload, compile=None))
    assert not said, "nobody asked for it"
    for _ in range(2):
        assert not generator._compiles(replace(settings, offload=offload))
    assert said == [f'The blocks are not compiled with generation.offload "{offload}".']


def test_no_choice_of_kernels_by_the_clock() -> None:
    from torch._inductor import config

    assert not hasattr(config, "deterministic") or Regions(torch.nn.Module())._options() == {"deterministic": True}
