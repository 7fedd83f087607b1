"""Every family's blocks compiled: the same pictures, and no LoRA, batch or prompt that comes later is compiled anew.

PyTorch's ``eager`` backend captures, guards and counts as every other one does and computes with the same kernels as
without, so that results have to agree to the last bit. What a compiler of kernels makes of the same graphs is another
test (`test_compiled_training`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import GENERATION, shots  # noqa: E402
from tests.helpers.lora_files import write_lora  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.loras.writing import LoraWeights  # noqa: E402
from twinloop.adapters.diffusion.regions import REGIONAL, blocks_of  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import adapted_layers  # noqa: E402
from twinloop.families import FAMILIES, Family  # noqa: E402

TARGETS = 2
"""Of each family's kinds of layers, which keeps the compiler's work short."""


@dataclass(frozen=True)
class Ready:
    """A generator of a family, and three LoRAs: rank 4, another alpha, a smaller rank."""

    generator: DiffusersGenerator
    loras: tuple[Path, Path, Path]

    def pictures(self, lora: Path | None, count: int = 1, **changes: Any) -> Any:
        self.generator.load_lora(lora)
        wanted = [
            replace(shot, prompt="a photo of ohwx ana smiling" if shot.index % 2 else "ohwx ana")
            for shot in shots(count)
        ]
        return np.stack(
            [image for _, image in self.generator.generate(wanted, replace(GENERATION, batch_size=count, **changes))]
        )


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def ready(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    home = tmp_path_factory.mktemp(request.param)
    family = FAMILIES[request.param]
    generator = DiffusersGenerator(BaseChoice(str(build_tiny(family.name, home / "base")), "cpu", "float32"), family)
    generator._base.regions.backend = "eager"
    denoiser = generator._base.denoiser
    loras = tuple(
        _lora(home / f"{n}.safetensors", family, denoiser, rank, alpha)
        for n, (rank, alpha) in enumerate([(4, 8.0), (4, 2.0), (2, 4.0)])
    )
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield Ready(generator, (loras[0], loras[1], loras[2]))
    torch._dynamo.reset()


def _lora(path: Path, family: Family, denoiser: Any, rank: int, alpha: float) -> Path:
    random = torch.Generator().manual_seed(rank)
    layers: dict[str, Any] = {}
    for name in adapted_layers(denoiser, family.targets[:TARGETS]):
        weight = denoiser.get_submodule(name).weight
        inner = [1] * (weight.ndim - 2)  # of a convolution
        shapes = (rank, *weight.shape[1:]), (weight.shape[0], rank, *inner)
        layers[name] = tuple(torch.randn(shape, generator=random) * 0.1 for shape in shapes)
    write_lora(path, LoraWeights(layers, rank, alpha), family, {})
    return path


def compiled() -> int:
    """How many graphs were compiled so far for this family."""
    from torch._dynamo.utils import counters

    assert not counters["graph_break"]
    return int(counters["stats"]["unique_graphs"])


@pytest.mark.slow
def test_a_lora_that_is_exchanged_is_not_compiled_for(ready: Ready) -> None:
    first, other, smaller = ready.loras
    plain = [ready.pictures(lora) for lora in ready.loras]
    assert np.array_equal(ready.pictures(first, compile=REGIONAL), plain[0])
    once, blocks = compiled(), blocks_of(ready.generator._base.denoiser)
    assert 0 < once <= len(blocks)
    assert np.array_equal(ready.pictures(other, compile=REGIONAL), plain[1])
    # filled up with zeros to the larger rank: the same sums, rounded otherwise in the last place
    assert np.abs(ready.pictures(smaller, compile=REGIONAL).astype(int) - plain[2]).max() <= 1
    ready.generator._base.lora.use(None)  # as a training between two rounds does
    assert np.array_equal(ready.pictures(first, compile=REGIONAL), plain[0])
    assert compiled() == once

    assert np.array_equal(ready.pictures(smaller), plain[2])  # without again, to the last bit
    assert ready.generator._base.regions.failure == ""


@pytest.mark.parametrize("ready", ["sdxl", "zimage", "qwen-image"], indirect=True)
def test_several_at_once_are_compiled_for_once(ready: Ready) -> None:
    """One family for each way of joining texts.

    A single picture is a case of its own, and so are texts that are filled up to one length.
    """
    plain = ready.pictures(ready.loras[0], 2)
    ready.pictures(ready.loras[0], compile=REGIONAL)
    before = compiled()
    assert np.array_equal(ready.pictures(ready.loras[0], 2, compile=REGIONAL), plain)
    several = compiled()
    assert several - before <= 2 * len(blocks_of(ready.generator._base.denoiser))
    ready.pictures(ready.loras[1], 3, compile=REGIONAL)
    ready.pictures(ready.loras[1], compile=REGIONAL)
    assert compiled() == several


@pytest.mark.parametrize("ready", ["sdxl"], indirect=True)
def test_another_size_is_compiled_for_once(ready: Ready) -> None:
    ready.pictures(ready.loras[0], compile=REGIONAL)
    before = compiled()
    wide = ready.pictures(ready.loras[0], compile=REGIONAL, width=96)
    after = compiled()
    assert after - before <= len(blocks_of(ready.generator._base.denoiser))
    ready.pictures(ready.loras[1], compile=REGIONAL, height=128)
    ready.pictures(ready.loras[1], compile=REGIONAL, width=160, height=96)
    assert compiled() == after
    assert np.array_equal(wide, ready.pictures(ready.loras[0], width=96))
