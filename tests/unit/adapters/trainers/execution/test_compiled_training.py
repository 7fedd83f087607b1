"""Training on compiled blocks: the same LoRA, the same bytes after a kill, and a compiler that fails costs a word."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file  # noqa: E402

from tests.contract.makers import TRAINING, samples  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.diffusion.regions import BACKEND, REGIONAL, Regions  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.execution.fallbacks import COMPILED_FILE, CompiledBlocks  # noqa: E402
from twinloop.domain.records import TrainingSample  # noqa: E402
from twinloop.errors import StateError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

FAMILY = replace(FAMILIES["sdxl"], targets=("attn2.to_q",))
"""With a LoRA on one layer of each block, which keeps the compiler's work short."""
SETTINGS = replace(TRAINING, steps=2, checkpoint_every=1)


class Killed(Exception):
    """Stands for a kill between two steps; everything in memory is thrown away."""


class Bench:
    """Trainings on one tiny base, each in a folder of its own."""

    def __init__(self, base: Path, photos: tuple[TrainingSample, ...], home: Path) -> None:
        self._base, self._photos, self._home = base, photos, home
        self.notices: list[str] = []

    @property
    def regions(self) -> Regions:
        return open_base(BaseChoice(str(self._base), "cpu", "float32"), FAMILY).regions

    def fresh(self, backend: str | Callable[..., Any]) -> None:
        """As in a process that has compiled nothing yet."""
        open_base(BaseChoice(str(self._base), "cpu", "float32"), FAMILY).__dict__.pop("regions", None)
        torch._dynamo.reset()
        self.regions.backend = backend
        self.notices.clear()

    def train(self, name: str, how: str | None = REGIONAL, kill_after: int = 0) -> bytes:
        """The LoRA file; b"" when it was killed."""

        def progress(step: int, steps: int, loss: float) -> None:
            if step == kill_after:
                raise Killed

        trainer = DiffusersLoraTrainer(BaseChoice(str(self._base), "cpu", "float32"), FAMILY, self.notices.append)
        output = self._home / name / "lora.safetensors"
        try:
            trainer.train(self._photos, replace(SETTINGS, compile=how), output, output.parent / "work", {}, progress)
        except Killed:
            torch._dynamo.reset()
            return b""
        return output.read_bytes()

    def record(self, name: str) -> Any:
        return json.loads((self._home / name / "work" / COMPILED_FILE.format(0)).read_text())

    def tensors(self, name: str) -> dict[str, Any]:
        return dict(load_file(self._home / name / "lora.safetensors"))


@pytest.fixture(scope="module")
def bench(full_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    home = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        made = Bench(full_base, samples(home / "photos", count=2), home)
        made.fresh(BACKEND)
        made.train("plain", "off")
        yield made
        made.fresh(BACKEND)  # the base is shared by the tests of this process


@pytest.fixture(scope="module")
def graphs(bench: Bench) -> int:
    """How many were compiled for the training "aot_eager"."""
    from torch._dynamo.utils import counters

    bench.fresh("aot_eager")
    counters.clear()
    assert bench.train("aot_eager") and not counters["graph_break"]
    return int(counters["stats"]["unique_graphs"])


REAL = pytest.param(
    "inductor",
    marks=pytest.mark.skipif(
        not os.environ.get("TWINLOOP_COMPILER_TESTS") or not any(map(shutil.which, ("c++", "g++", "clang++"))),
        reason="a minute of a C++ compiler; TWINLOOP_COMPILER_TESTS=1 runs it",
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", REAL])
def test_killed_and_called_again_same_bytes(
    bench: Bench, graphs: int, backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the graphs that are captured, and with the kernels that a real compiler makes of them."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kernels"))
    if bench.regions.backend != backend:
        bench.fresh(backend)
    whole, killed = bench.train(backend), f"{backend} killed"
    assert bench.train(killed, kill_after=1) == b""
    assert bench.train(killed) == whole
    assert bench.record(killed) == {"until": None} and bench.regions.failure == ""
    plain, found = bench.tensors("plain"), bench.tensors(backend)
    assert all(torch.allclose(found[name].float(), plain[name].float(), rtol=0.02, atol=2e-3) for name in plain)


def test_the_same_lora_and_nothing_compiled_twice(bench: Bench, graphs: int) -> None:
    from torch._dynamo.utils import counters

    # the first block's entrance needs no gradient, the others' do; and two lengths that happen to be equal at first are
    # taken as one
    assert 0 < graphs <= 4
    plain, found = bench.tensors("plain"), bench.tensors("aot_eager")
    assert found.keys() == plain.keys() and all(torch.equal(found[name], plain[name]) for name in plain)
    if bench.regions.backend != "aot_eager":
        bench.fresh("aot_eager")
        bench.train("compiled for")
    counters.clear()
    assert bench.train("second") == bench.train("aot_eager")  # the next round's training, with a new LoRA
    assert not counters["stats"]["unique_graphs"]
    torch._dynamo.reset()
    assert bench.train("aot_eager")  # finished: there is no step left to compile for
    assert not counters["stats"]["unique_graphs"]
    assert bench.record("aot_eager") == {"until": None} and bench.record("plain") == {"until": 1}
    assert bench.notices == []


def broken(calls: list[int]) -> Callable[..., Any]:
    def backend(graph: Any, inputs: Any) -> Any:
        calls.append(1)
        raise OSError("no C++ compiler")

    return backend


def test_a_compiler_that_fails_ends_no_training(bench: Bench) -> None:
    calls = list[int]()
    bench.fresh(broken(calls))
    bench.train("broken")
    assert all(
        torch.equal(a, b)
        for a, b in zip(bench.tensors("broken").values(), bench.tensors("plain").values(), strict=True)
    )
    assert len(calls) == 1
    (notice,) = bench.notices
    assert "no C++ compiler" in notice
    assert bench.record("broken") == {"until": 1}


def blocks(path: Path, wanted: bool, regions: Regions | None = None) -> CompiledBlocks:
    return CompiledBlocks(regions or Regions(torch.nn.Module()), path, wanted, print)


def test_what_was_decided_first_stays(tmp_path: Path) -> None:
    path = tmp_path / "compiled.json"
    assert blocks(path, wanted=True).at(1)
    assert blocks(path, wanted=False).at(10**6)
    assert blocks(path, wanted=True).give_up(7, RuntimeError("out of memory")) == ""
    assert "cannot be compiled" in blocks(path, wanted=True).give_up(7, RuntimeError("nvcc"))
    kept = blocks(path, wanted=True)
    assert kept.at(6) and not kept.at(7)
    assert kept.give_up(9, RuntimeError("something else")) == ""


def test_a_base_whose_compiler_failed_before_is_not_asked_again(tmp_path: Path) -> None:
    regions = Regions(torch.nn.Module())
    path = tmp_path / "compiled.json"
    assert blocks(path, wanted=True).at(5)
    regions.give_up(RuntimeError("images"))
    assert blocks(tmp_path / "third.json", wanted=True, regions=regions).at(1), "generation failed, not training"
    regions.give_up(RuntimeError("nvcc"), training=True)
    kept = blocks(path, wanted=True, regions=regions)
    with kept.ready(5):
        pass
    assert kept.at(4) and not kept.at(5)
    assert not blocks(tmp_path / "other.json", wanted=True, regions=regions).at(1)


def test_a_damaged_record_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "compiled.json").write_text('{"until": "x"}')
    with pytest.raises(StateError, match="damaged"):
        blocks(tmp_path / "compiled.json", wanted=True)
