"""LoRAs and LoKrs worn together: whatever the order in which they are named, and in whatever order they came."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.helpers.lora_files import write_lora  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.loras.lokr_writing import LokrWeights  # noqa: E402
from twinloop.adapters.diffusion.loras.writing import LoraWeights  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import adapted_layers  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

FLUX = FAMILIES["flux"]
"""diffusers looks at the base's own weights when it loads a LoRA of this family, and finds them one layer deep."""
Files = dict[str, tuple[Path, float]]
Answers = Callable[[], dict[str, Any]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    folder = build_tiny("flux", tmp_path_factory.mktemp("flux") / "base")
    return open_base(BaseChoice(str(folder), "cpu", "float32"), FLUX)


@pytest.fixture(scope="module")
def layers(base: BaseModel) -> tuple[str, ...]:
    """Those that are usually trained, by the names that they have bare."""
    base.lora.use(None)
    return tuple(adapted_layers(base.denoiser, FLUX.targets))


@pytest.fixture
def files(base: BaseModel, layers: tuple[str, ...], tmp_path: Path) -> Files:
    """Two LoRAs of different ranks, a LoKr, and the strength of each."""
    draw = torch.Generator().manual_seed(3)

    def some(*shape: int) -> Any:
        return torch.randn(shape, generator=draw) * 0.1

    base.lora.use(None)
    sizes = {name: base.denoiser.get_submodule(name).weight.shape for name in layers}
    for name, rank in (("one", 3), ("two", 4)):
        pairs = {layer: (some(rank, into), some(out, rank)) for layer, (out, into) in sizes.items()}
        write_lora(tmp_path / f"{name}.safetensors", LoraWeights(pairs, rank, 2.0), FLUX, {})
    products = {layer: {"w1": some(2, 2), "w2": some(out // 2, into // 2)} for layer, (out, into) in sizes.items()}
    write_lora(tmp_path / "product.safetensors", LokrWeights(products, 4, 4.0), FLUX, {})
    strengths = {"one": 1.0, "two": 0.5, "product": 0.7}
    return {name: (tmp_path / f"{name}.safetensors", strength) for name, strength in strengths.items()}


@pytest.fixture
def answers(base: BaseModel, layers: tuple[str, ...]) -> Answers:
    """What every layer says now to one fixed input."""

    def ask(layer: Any) -> Any:
        with torch.inference_mode():
            return layer(torch.linspace(-1, 1, layer.in_features).expand(2, -1))

    return lambda: {name: ask(base.denoiser.get_submodule(name)) for name in layers}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


def test_the_order_that_they_are_named_in_does_not_matter(base: BaseModel, files: Files, answers: Answers) -> None:
    bare, alone = answers(), []
    for path, strength in files.values():
        base.lora.use(path, strength)
        alone.append(answers())
    wanted = {name: bare[name] + sum(one[name] - bare[name] for one in alone) for name in bare}
    assert not same(wanted, bare)
    for order in permutations(files):
        base.lora.use(None)
        base.lora.wear([files[name] for name in order])
        assert same(answers(), wanted), order


def test_a_lora_that_comes_later_goes_below_the_lokr(base: BaseModel, files: Files, answers: Answers) -> None:
    """Also where the LoKr was taken off before, which leaves an empty layer around the LoRA's."""
    one, two, product = (files[name] for name in ("one", "two", "product"))
    base.lora.wear([one, product, two])
    three = answers()
    base.lora.use(None)
    base.lora.wear([one, two])
    pair = answers()
    base.lora.use(None)
    for worn, wanted in (
        ([product], None),
        ([product, one], None),
        ([product, one, two], three),
        ([one], None),
        ([one, two], pair),
    ):
        base.lora.wear(worn)
        assert wanted is None or same(answers(), wanted), worn
    base.lora.use(None)
    base.lora.wear([one, product])
    base.lora.wear([one])
    base.lora.wear([one, two])
    assert same(answers(), pair)
