"""A LoKr in training: made by PEFT from its configuration, begun as LyCORIS begins it, read out at the end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from peft import LoKrConfig
from torch import Tensor, nn

from twinloop.adapters.diffusion.loras.kronecker_layers import FactoredModel, add_lokr
from twinloop.adapters.diffusion.loras.lokr_writing import LokrWeights

_STILL = (".lokr_w2", ".lokr_w2_b")
"""Zero at first, so that the LoKr starts as no change; all others start at random."""


def add_for_training(model: Any, layers: Sequence[str], rank: int, alpha: float, factor: int, adapter: str) -> None:
    """Give a denoiser LoKrs on these layers.

    A rank of half the large matrix's longer side or more leaves that matrix whole. A product of two whole matrices has
    the scale 1, whatever alpha says: so it is in LyCORIS, ai-toolkit and ComfyUI.

    Args:
        factor: of PEFT's factorization, -1 = automatic.
    """
    add_lokr(
        model,
        LoKrConfig(r=rank, alpha=alpha, decompose_factor=factor, target_modules=list(layers), init_weights=False),
        adapter,
    )
    for layer in model.modules():
        if isinstance(layer, FactoredModel.tuner_layer_cls) and adapter in layer.lokr_w2:
            layer.alpha[adapter] = layer.r[adapter]
            layer.set_scale(adapter, 1.0)


def starts_at_zero(name: str) -> bool:
    """Whether a parameter of that name (``<layer>.lokr_w2``) does."""
    return name.endswith(_STILL)


def bound(parameter: Tensor) -> float:
    """Of the uniform distribution that a matrix starts from: one over the root of what it sums
    over, kernels included.
    """
    return 1 / math.sqrt(math.prod(parameter.shape[1:]))


def lokr_weights(parameters: Mapping[str, nn.Parameter], rank: int, alpha: float, dtype: torch.dtype) -> LokrWeights:
    """The LoKr as it is now, by layer of the bare denoiser."""
    layers: dict[str, dict[str, Tensor]] = {}
    for name, parameter in parameters.items():
        layer, _, part = name.rpartition(".lokr_")
        layers.setdefault(layer, {})[part] = parameter.detach().to("cpu", dtype)
    return LokrWeights(layers, rank, alpha)
