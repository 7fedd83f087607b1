"""LoKr files of any dialect -> products that a pipeline wears as they are, without an approximation.

diffusers itself loads LoKr for two families only, so the layers are put in place here, in PEFT's form: scales,
switching and taking off are then those of LoRAs, and both may be worn at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoKrConfig
from torch import Tensor, nn

from twinloop.adapters.diffusion.loras.fit import ENCODER
from twinloop.adapters.diffusion.loras.given_lora import whole_lora
from twinloop.adapters.diffusion.loras.kronecker_layers import wear_product
from twinloop.adapters.diffusion.loras.precision import precision_of
from twinloop.adapters.diffusion.loras.raw import as_torch
from twinloop.adapters.diffusion.messages import wrong_base
from twinloop.errors import InputError, ModelFileError
from twinloop.families.base import Family
from twinloop.families.lora_names import CLIP
from twinloop.loras.adapter import Place, understood
from twinloop.loras.components import DENOISER
from twinloop.loras.kronecker import Kronecker
from twinloop.loras.lora import Update, read_lora
from twinloop.loras.products import as_pair


@dataclass(frozen=True, eq=False)
class Products:
    """A LoKr for one pipeline: component -> path of the layer there -> its product."""

    layers: Mapping[str, Mapping[str, Kronecker]]

    @property
    def adapts_encoders(self) -> bool:
        """Whether it changes text encoders."""
        return any(name.startswith(ENCODER) for name in self.layers)

    def wear(self, pipeline: Any, adapter: str) -> None:
        """Put it in place beside what is worn, at full strength, and alone in use."""
        with torch.no_grad():
            for component, layers in self.layers.items():
                model = getattr(pipeline, component)
                _announce(model, adapter)
                moved: dict[int, Tensor] = {}  # parts that several layers share are there once
                for path, product in layers.items():
                    parts = placed_parts(product, model.get_submodule(path), precision_of(model), moved)
                    wear_product(model, path, adapter, parts, product.scale, product.rows)
        pipeline.set_adapters([adapter], [1.0])


def read_products(path: Path, pipeline: Any, family: Family) -> Products:
    """The products of a file, checked against the pipeline's parts.

    Raises:
        ModelFileError: unreadable, of a kind that is not worn (LoKr with weight decomposition), or for another base
            model.
    """
    whole_lora(path)
    try:
        adapter = understood(read_lora(path), family.name)
    except InputError as error:
        raise ModelFileError(str(error)) from error
    return products_of(adapter.layers, path, pipeline, family)


def products_of(layers: Mapping[Place, Update], path: Path, pipeline: Any, family: Family) -> Products:
    """The layers of a LoRA or LoKr as products, checked against the pipeline's parts.

    Raises:
        ModelFileError: layers that these do not have in that size.
    """
    found: dict[str, dict[str, Kronecker]] = {}
    for place, update in layers.items():
        component = family.denoiser if place.component == DENOISER else place.component
        model = getattr(pipeline, component, None)
        if model is None:
            raise ModelFileError(wrong_base(path, f"it adapts a {component}, which this base has not"))
        name, layer = _found(model, place, path)
        product = update if isinstance(update, Kronecker) else as_pair(update)
        _check(path, name, product, layer)
        found.setdefault(component, {})[name] = product
    return Products(found)


def _found(model: nn.Module, place: Place, path: Path) -> tuple[str, Any]:
    """The layer under the name that it has here; versions of transformers differ in one word of CLIP's."""
    for name in dict.fromkeys((place.path, place.path.removeprefix(CLIP))):
        try:
            layer: Any = model.get_submodule(name)
        except AttributeError:
            continue
        bare = getattr(layer, "get_base_layer", lambda layer=layer: layer)()
        if isinstance(bare, nn.Linear | nn.Conv2d):
            return name, bare
    raise ModelFileError(wrong_base(path, f"this base has no layer {place.path}"))


def _check(path: Path, name: str, product: Kronecker, layer: Any) -> None:
    linear = isinstance(layer, nn.Linear)
    outputs, inputs = (
        (layer.out_features, layer.in_features) if linear else (layer.out_channels, layer.in_channels // layer.groups)
    )
    cells = 1 if linear else int(np.prod(layer.kernel_size))
    given = product.inputs * int(np.prod(product.kernel)) if product.kernel else product.inputs
    for what, here, there in (("takes", inputs * cells, given), ("gives", outputs, product.outputs)):
        if here != there:
            raise ModelFileError(wrong_base(path, f"{name} {what} {here} channels here, {there} in the file"))


def _announce(model: Any, adapter: str) -> None:
    """What diffusers looks at when it lists, scales and takes off adapters."""
    model.peft_config = {**getattr(model, "peft_config", {}), adapter: LoKrConfig(r=1, alpha=1, inference_mode=True)}
    model._hf_peft_config_loaded = True


def placed_parts(
    product: Kronecker, layer: nn.Module, precision: torch.dtype, moved: dict[int, Tensor]
) -> dict[str, Tensor]:
    """The matrices of a product under PEFT's names, where the layer's weights are.

    Args:
        moved: those that are there already, by the identity of what they were in the file; taken from and added to.
    """
    place = _weight_place(layer)
    for part in product.parts.values():
        if id(part) not in moved:
            moved[id(part)] = as_torch(part).to(place, precision)
    return {f"lokr_{name}": moved[id(part)] for name, part in product.parts.items()}


def _weight_place(layer: Any) -> torch.device:
    place: torch.device = getattr(layer, "get_base_layer", lambda: layer)().weight.device
    return place
