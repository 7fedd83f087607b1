"""What a model of diffusers wants of torchvision, without it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from twinloop.adapters.diffusion.without_torchvision import complete  # noqa: E402


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = ModuleType("a_model_of_diffusers")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


def model(name: str, module: ModuleType) -> type:
    return type(name, (), {"__module__": module.__name__})


def test_a_mask_gets_the_size_of_the_latents(module: Any) -> None:
    complete(model("CosmosTransformer3DModel", module))
    mask = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    larger = module.transforms.functional.resize(mask, [4, 4], module.transforms.InterpolationMode.NEAREST)
    assert torch.equal(larger, mask.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert torch.equal(module.transforms.functional.resize(larger, [2, 2], "nearest"), mask)


def test_where_it_is_there_and_for_others_nothing_changes(module: Any) -> None:
    complete(model("FluxTransformer2DModel", module))
    assert not hasattr(module, "transforms")
    module.transforms = "torchvision's"
    complete(model("CosmosTransformer3DModel", module))
    assert module.transforms == "torchvision's"
