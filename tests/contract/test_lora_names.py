"""Every layer of every kind of denoiser has a name in each dialect, and is found again by it; also those that are
trained by other programs alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.tiny_bases import OF_A_KIND  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from tests.unit.loras.makers import delta, saved  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.loras.adapter import Adapter, Place, understood  # noqa: E402
from twinloop.loras.components import DENOISER  # noqa: E402
from twinloop.loras.lora import Dialect, Layer  # noqa: E402
from twinloop.loras.tensors import encode  # noqa: E402


def pair(shape: tuple[int, ...], seed: int) -> Layer:
    """For a layer whose weight has this shape."""
    draw = np.random.default_rng(seed)
    out, *rest = shape
    down, up = draw.normal(size=(2, *rest)), draw.normal(size=(out, 2, *[1] * (len(shape) - 2)))
    return Layer(encode(down, "F32"), encode(up, "F32"), 1.0)


@pytest.fixture(scope="module", params=OF_A_KIND)
def layers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[Place, Layer]]:
    family = FAMILIES[request.param]
    folder = build_tiny(family.name, tmp_path_factory.mktemp(family.name) / "base")
    denoiser = open_base(BaseChoice(str(folder), "cpu", "float32"), family).denoiser
    found = {
        name: tuple(layer.weight.shape)
        for name, layer in denoiser.named_modules()
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)
    }
    assert len(found) > 20
    return family.name, {
        Place(DENOISER, name): pair(shape, number) for number, (name, shape) in enumerate(found.items())
    }


@pytest.mark.parametrize("dialect", [Dialect.KOHYA, Dialect.COMFYUI, Dialect.DIFFUSERS], ids=str)
def test_each_layer_alone_is_found_again(
    layers: tuple[str, dict[Place, Layer]], dialect: Dialect, tmp_path: Path
) -> None:
    """Alone, so that none is told by its neighbours."""
    family, pairs = layers
    for place, layer in pairs.items():
        file = saved(tmp_path / "one.safetensors", Adapter(family, {place: layer}), dialect)
        back: Any = understood(file, family).layers
        assert place in back, place.path
        assert np.allclose(delta(back[place]), delta(layer), atol=1e-5), place.path
