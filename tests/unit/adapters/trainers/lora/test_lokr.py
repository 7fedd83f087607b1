"""A LoKr in training: its start, its matrices, and what the forecast says of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.pixels import latent_shape  # noqa: E402
from twinloop.adapters.diffusion.prompts import join  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import ADAPTER, AdapterPlan  # noqa: E402
from twinloop.adapters.trainers.lora.lokr import starts_at_zero  # noqa: E402
from twinloop.adapters.trainers.memory.dry_run import footprint  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.loras.kronecker import factorization  # noqa: E402

SDXL = FAMILIES["sdxl"]


@pytest.fixture
def base(full_base: Path) -> BaseModel:
    return open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)


def test_it_begins_as_no_change_and_the_same_for_a_seed(base: BaseModel) -> None:
    inputs = torch.randn(1, 4, 16, 16), torch.tensor([500.0]), base.prompts.embed("photo"), torch.zeros(1, 6)
    starts = []
    with torch.no_grad():
        for seed in (0, 0, 1):
            with adapted(base, AdapterPlan(SDXL.targets, 2, 2.0, lokr=8), seed) as denoiser:
                worn = denoiser(*inputs)
                with denoiser.without_lora():
                    assert torch.equal(worn, denoiser(*inputs))
                starts.append({name: parameter.clone() for name, parameter in denoiser.parameters.items()})
    assert all(torch.equal(value, starts[1][name]) for name, value in starts[0].items())
    for name, value in starts[0].items():
        assert starts_at_zero(name) == (not value.any())
        assert starts_at_zero(name) or not torch.equal(value, starts[2][name])
        assert float(value.abs().max()) <= value.shape[1] ** -0.5
    assert not any("lokr" in name for name, _ in base.denoiser.named_parameters())


@pytest.mark.parametrize("lokr", [0, 4])
def test_what_cannot_be_put_on_leaves_the_base_as_it_was(base: BaseModel, lokr: int) -> None:
    """The base stays in memory, and the next training begins with it."""
    with (
        pytest.raises(ValueError, match="should be a positive integer"),
        adapted(base, AdapterPlan(SDXL.targets, 0, 1.0, lokr=lokr), 0),
    ):
        pass
    with adapted(base, AdapterPlan(SDXL.targets, 2, 1.0, lokr=lokr), 0) as denoiser:
        assert denoiser.parameters
    assert not any(ADAPTER in name.split(".") for name, _ in base.denoiser.named_parameters())


@pytest.mark.parametrize(("rank", "factor"), [(1, -1), (2, 4), (10000, -1), (10000, 8)])
def test_matrices_are_those_of_lycoris(base: BaseModel, rank: int, factor: int) -> None:
    """A rank of half a large matrix's longer side or more leaves it whole, and the scale of two whole matrices is 1
    whatever alpha is.
    """
    with adapted(base, AdapterPlan(SDXL.targets, rank, 5.0, lokr=factor), 0) as denoiser:
        for name, parameter in denoiser.parameters.items():
            if not name.endswith(".lokr_w1"):
                continue
            key = name.removesuffix(".lokr_w1")
            layer = base.denoiser.get_submodule(key)
            (a, b), (c, d) = factorization(layer.out_features, factor), factorization(layer.in_features, factor)
            assert tuple(parameter.shape) == (a, c)
            whole = rank >= max(b, d) / 2
            assert (f"{key}.lokr_w2" in denoiser.parameters) == whole
            assert layer.scaling[ADAPTER] == (1.0 if whole else 5.0 / rank)


@pytest.mark.parametrize("family", ["sdxl", "flux"])
def test_the_forecast_counts_it(family: str, tmp_path: Path) -> None:
    """Its parameters, and activations of a LoRA's size: no product as large as the layer is kept."""
    base = open_base(BaseChoice(str(build_tiny(family, tmp_path)), "cpu", "float32"), FAMILIES[family])
    asked = latent_shape(base, 64, 64), join([base.prompts.embed("a photo")], base.family.joining)
    lora = AdapterPlan(base.family.targets, 2, 1.0)
    lokr = replace(lora, lokr=4)
    one, pair = footprint(base, lokr, *asked), footprint(base, lora, *asked)
    with adapted(base, lokr, 0) as denoiser:
        assert one.adapter == sum(parameter.numel() for parameter in denoiser.parameters.values())
    assert one.weights == pair.weights and pair.activations < one.activations < 2 * pair.activations
    assert one.checkpointed + one.largest_block < one.activations
