"""Whether a LoRA's layers are there in a base model, in the same size, by the base's configuration and the file's
header: no weight of either is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import diffusers
from accelerate import init_empty_weights
from torch import nn

from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.base_files import find_base
from twinloop.adapters.diffusion.loras.given_lora import check_lora
from twinloop.adapters.diffusion.messages import wrong_base
from twinloop.adapters.diffusion.quantised.sizes import plain_shape
from twinloop.errors import InputError, ModelFileError, TwinLoopError
from twinloop.families.base import Family
from twinloop.loras.adapter import Place, understood
from twinloop.loras.components import DENOISER
from twinloop.loras.kronecker import Kronecker
from twinloop.loras.lora import Update, read_lora


class EarlyFit:
    """Compares LoRA or LoKr files with a base model that is not loaded."""

    def __init__(self, choice: BaseChoice, family: Family) -> None:
        self._choice, self._family = choice, family

    @cached_property
    def _denoiser(self) -> nn.Module | None:
        return empty_denoiser(self._choice, self._family)

    def check(self, path: Path) -> None:
        """Compare the layers of a file with the base's denoiser, as far as both are known.

        Raises:
            ModelFileError: layers that it has not, or not in that size.
        """
        if self._denoiser is None:
            return
        try:
            check_lora(path, self._family)
            adapter = understood(read_lora(path), self._family.name)
        except (InputError, ModelFileError):  # told elsewhere, or of a dialect that only diffusers knows
            return
        check_layers(path, adapter.layers, self._denoiser)


def check_layers(path: Path, layers: Mapping[Place, Update], denoiser: nn.Module) -> None:
    """Compare layers, by their places, with a denoiser, whose weights may be packed or not there; those of text
    encoders are passed over.

    Args:
        path: the file that they are from.

    Raises:
        ModelFileError: as `EarlyFit.check`.
    """
    for place, update in layers.items():
        if place.component == DENOISER:
            _check(path, place.path, update, denoiser)


def _check(path: Path, name: str, update: Update, denoiser: nn.Module) -> None:
    try:
        layer: Any = denoiser.get_submodule(name)
    except AttributeError:
        layer = None
    weight = getattr(getattr(layer, "base_layer", layer), "weight", None)
    if weight is None or len(plain_shape(weight)) < 2:  # a block, or a norm
        raise ModelFileError(wrong_base(path, f"this base has no layer {name}"))
    gives, takes, *kernel = plain_shape(weight)
    if isinstance(update, Kronecker) and not update.kernel:  # its inputs are the convolution's cells, too
        takes *= math.prod(kernel)
    for what, here, there in (("takes", takes, update.inputs), ("gives", gives, update.outputs)):
        if here != there:
            raise ModelFileError(wrong_base(path, f"{name} {what} {here} channels here, {there} in the file"))


def empty_denoiser(choice: BaseChoice, family: Family) -> nn.Module | None:
    """The denoiser of a base model that is here, without numbers (PyTorch's "meta"); None = it is not here, or its
    configuration does not tell.
    """
    try:
        home = find_base(replace(choice, allow_download=False), family).home
        config: dict[str, Any] = json.loads((home / family.denoiser / "config.json").read_text(encoding="utf-8"))
        made = getattr(diffusers, config["_class_name"])
        with init_empty_weights():
            model: nn.Module = made.from_config(config)
    except (TwinLoopError, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError):
        return None  # told where the base is looked for, or loaded
    return model
