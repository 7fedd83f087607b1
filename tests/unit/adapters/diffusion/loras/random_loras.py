"""LoRA files with random weights for a given model."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from twinloop.adapters.diffusion.loras.writing import (  # noqa: E402
    LoraWeights,
)
from twinloop.families import FAMILIES  # noqa: E402

torch = pytest.importorskip("torch")


SDXL = FAMILIES["sdxl"]


def random_lora(unet: Any, rank: int = 4, alpha: float = 1.0, seed: int = 0) -> LoraWeights:
    generator = torch.Generator().manual_seed(seed)
    layers = {}
    for name, layer in unet.named_modules():
        if name.endswith(SDXL.targets) and isinstance(layer, torch.nn.Linear):
            out, into = layer.weight.shape
            layers[name] = (torch.randn(rank, into, generator=generator), torch.randn(out, rank, generator=generator))
    return LoraWeights(layers, rank, alpha)
