"""A trained LoKr under the names that programs read: LyCORIS's parts under diffusers' paths, and in the copy.

The file itself carries alpha as JSON in its header, as PEFT's configuration, so that diffusers loads it where it loads
LoKr at all (FLUX.2 and Z-Image); the copy has an ``.alpha`` for every layer, as LyCORIS writes it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import Tensor

from twinloop.adapters.diffusion.loras.raw import TYPES, as_torch
from twinloop.families.lora_names import LoraNames
from twinloop.loras.kronecker import Kronecker
from twinloop.loras.lokr_texts import lokr_settings
from twinloop.loras.tensors import RawTensor, alpha_tensor


@dataclass(frozen=True, eq=False)
class LokrWeights:
    """A trained LoKr of a denoiser.

    Attributes:
        layers: layer -> its parts by LyCORIS's names (``w1``, ``w2`` or ``w2_a`` and ``w2_b``), in float16 or float32.
        rank, alpha: the update is kron(w1, w2) x alpha / rank, without the quotient where both are whole.
    """

    layers: Mapping[str, Mapping[str, Tensor]]
    rank: int
    alpha: float


def own_tensors(lokr: LokrWeights, denoiser: str) -> dict[str, Tensor]:
    """Tensors under diffusers' paths."""
    return {
        f"{denoiser}.{layer}.lokr_{part}": tensor
        for layer, parts in lokr.layers.items()
        for part, tensor in parts.items()
    }


def lokr_text(lokr: LokrWeights, denoiser: str) -> str:
    """The JSON from which PEFT's configuration is built."""
    layers = {
        name: Kronecker({part: _raw(tensor) for part, tensor in parts.items()}, lokr.alpha)
        for name, parts in lokr.layers.items()
    }
    return json.dumps({f"{denoiser}.{name}": value for name, value in lokr_settings(layers).items()}, sort_keys=True)


def _raw(tensor: Tensor) -> RawTensor:
    return RawTensor(TYPES[tensor.dtype], tensor.numpy())


def lokr_copy(lokr: LokrWeights, names: LoraNames, attentions: Collection[str] | None) -> dict[str, Tensor]:
    """Tensors under the names that other programs read, with the alpha of every layer; that of whole matrices is the
    rank, as LyCORIS has it. ``attentions``: as in `LoraNames.groups`.
    """
    named: dict[str, Tensor] = {}
    for name, layer in names.apart(lokr.layers, attentions).items():
        parts = lokr.layers[layer]
        named |= {f"{name}.lokr_{part}": tensor for part, tensor in parts.items()}
        alpha = float(lokr.rank) if {"w1", "w2"} <= parts.keys() else lokr.alpha
        named[f"{name}.alpha"] = as_torch(alpha_tensor(alpha, TYPES[parts["w1"].dtype]))
    return named
