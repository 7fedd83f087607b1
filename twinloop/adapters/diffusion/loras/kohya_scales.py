"""The scale of each layer of a kohya file: its alpha over its rank."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from twinloop.errors import ModelFileError
from twinloop.loras.components import KOHYA, KOHYA_NAMES
from twinloop.loras.words import dotted

DOWN, UP, ALPHA = ".lora_down.weight", ".lora_up.weight", ".alpha"
_LAYER = re.compile(rf"lora_({KOHYA_NAMES})_[^.]+\.")
ENCODER_LAYER = re.compile(r"lora_(te[123]?)_([^.]+)\.")


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


def encoders_by_diffusers_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The layers of text encoders, their scale multiplied in; None where they are more than pairs of matrices."""
    made, known = dict[str, Tensor](), set[str]()
    for name in tensors:
        layer = ENCODER_LAYER.match(name)
        if layer is None or not name.endswith(DOWN):
            continue
        stem = name.removesuffix(DOWN)
        up = tensors.get(stem + UP)
        if up is None:
            return None
        try:
            path = f"{KOHYA[layer[1]]}.{dotted(layer[2])}"
        except ModelFileError:
            return None
        made |= {f"{path}.lora_A.weight": _scaled(tensors, stem), f"{path}.lora_B.weight": up.float()}
        known |= {name, stem + UP, stem + ALPHA}
    return made if all(name in known for name in tensors if ENCODER_LAYER.match(name)) else None
