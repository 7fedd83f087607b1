"""The scale of each layer of a kohya file: its alpha over its rank."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from twinloop.loras.components import KOHYA_NAMES

DOWN, ALPHA = ".lora_down.weight", ".alpha"
_LAYER = re.compile(rf"lora_({KOHYA_NAMES})_[^.]+\.")


def has_mixed_alphas(tensors: Mapping[str, Tensor]) -> bool:
    """Whether layers of one component have different alphas, as those of a LoRA have that was cut to smaller ranks.

    diffusers 0.42 takes the commonest one for the attention of a UNet and for all of a text encoder then.
    """
    found: dict[str, set[float | None]] = {}
    for name in tensors:
        layer = _LAYER.match(name)
        if layer and name.endswith(DOWN):
            alpha = tensors.get(name.removesuffix(DOWN) + ALPHA)
            found.setdefault(layer[1], set()).add(None if alpha is None else float(alpha))
    return any(len(alphas) > 1 for alphas in found.values())


def folded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same file with every layer's scale multiplied in and without alphas, so that none can be mistaken for
    another's.
    """
    made = {name: tensor for name, tensor in tensors.items() if not name.endswith(ALPHA)}
    for name in made:
        if name.endswith(DOWN):
            made[name] = _scaled(tensors, name.removesuffix(DOWN))
    return made


def _scaled(tensors: Mapping[str, Tensor], layer: str) -> Tensor:
    down, alpha = tensors[layer + DOWN], tensors.get(layer + ALPHA)
    return down if alpha is None else down.float() * (float(alpha) / down.shape[0])
