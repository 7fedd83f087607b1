"""LoRA files of every dialect -> tensors under diffusers names, as `twinloop.loras` understands their names.

diffusers reads some dialects of each family, of others it loses alphas, text encoders or the lengths of a DoRA in
silence, and it knows FLUX.1 at its real size only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from twinloop.adapters.diffusion.loras.dora_rows import both_norms
from twinloop.adapters.diffusion.loras.fit import ENCODER
from twinloop.adapters.diffusion.loras.raw import as_torch
from twinloop.errors import ModelFileError
from twinloop.families.base import Family
from twinloop.families.lora_names import CLIP
from twinloop.loras.components import DENOISER
from twinloop.loras.dora import BASE_NORM, DORA_TEXT, understood_dora
from twinloop.loras.lora import Layer, read_lora
from twinloop.store.models.lora_file import header_texts

_ENCODERS = "text_encoders."
"""ComfyUI's."""
_DOWN, _UP, LENGTHS = ".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector"
_OF_DIFFUSERS = (_DOWN, _UP, ".lora_B.bias", LENGTHS, f"{LENGTHS}.weight")


def is_of_diffusers(names: Iterable[str], family: Family) -> bool:
    """Whether all tensors bear diffusers' own names for the family, whose ranks and alphas are in the header, and none
    is missing.
    """
    components, all_names = (f"{family.denoiser}.", ENCODER), [*names]
    return not _lack_lengths(all_names) and all(
        name.startswith(components) and name.endswith(_OF_DIFFUSERS) for name in all_names
    )


def _lack_lengths(names: Collection[str]) -> bool:
    """Whether layers of a model have no lengths beside others that have."""
    found = {name.partition(LENGTHS)[0] for name in names if LENGTHS in name}
    models = {name.partition(".")[0] for name in found}
    layers = (name.removesuffix(_UP) for name in names if name.endswith(_UP))
    return any(name not in found and name.partition(".")[0] in models for name in layers)


def by_own_names(path: Path, names: Iterable[str], family: Family) -> dict[str, Tensor] | None:
    """All layers, their scale multiplied in; None where the file holds names that only diffusers may know, or more than
    pairs of matrices and lengths.

    Args:
        names: of the file's tensors.

    Raises:
        ModelFileError: such a file with text encoders under ComfyUI's names, which diffusers would pass over.
    """
    try:
        adapter, lengths = understood_dora(read_lora(path), family.name)
    except ModelFileError:
        if any(name.startswith(_ENCODERS) for name in names):
            raise
        return None
    made: dict[str, Tensor] = {}
    for place, layer in adapter.layers.items():
        if isinstance(layer, Layer):
            named = f"{family.denoiser if place.component == DENOISER else place.component}.{place.path}"
            down, up = as_torch(layer.down), as_torch(layer.up)
            made[f"{named}{_DOWN}"] = down if layer.scale == 1.0 else down.float() * layer.scale
            made[f"{named}{_UP}"] = up
            if place in lengths:
                made[_lengths_name(named)] = _as_peft_has_it(as_torch(lengths[place]).float(), up)
    return made


def _lengths_name(layer: str) -> str:
    """transformers looks for another name than diffusers, and each passes over the other in silence."""
    return layer + LENGTHS + (".weight" if layer.startswith(ENCODER) else "")


def _as_peft_has_it(lengths: Tensor, up: Tensor) -> Tensor:
    """(out,), or (1, out, 1, 1) of a convolution."""
    return lengths.flatten() if up.ndim == 2 else lengths.view(1, -1, *[1] * (up.ndim - 2))


def with_peft_lengths(path: Path, tensors: Mapping[str, Tensor], pipeline: Any) -> dict[str, Tensor]:
    """The same with the lengths of a DoRA as PEFT divides them, where a file of ComfyUI's form (`twinloop.loras.dora`)
    gave them, and for every layer beside one that has lengths: PEFT knows DoRA for all layers of a model or none.

    Args:
        tensors: as `by_own_names` makes them, of layers that the pipeline has.
    """
    made = dict(tensors)
    of_base = header_texts(path).get(DORA_TEXT) == BASE_NORM
    models = {name.partition(".")[0] for name in tensors if LENGTHS in name}
    for key in [name for name in tensors if name.endswith(_UP) and name.partition(".")[0] in models]:
        stem = key.removesuffix(_UP)
        name, up = _lengths_name(stem), tensors[key]
        if name in tensors and not of_base:
            continue
        component, _, path_there = stem.partition(".")
        layer = _layer(getattr(pipeline, component), path_there)
        norms = both_norms(layer, tensors[f"{stem}{_DOWN}"], up, 1.0, _place(layer))
        made[name] = _as_peft_has_it(norms.for_peft(tensors[name]) if name in tensors else norms.adapted, up)
    return made


def _layer(model: Any, path: str) -> Any:
    """Versions of transformers differ in one word of CLIP's names."""
    try:
        return model.get_submodule(path)
    except AttributeError:
        return model.get_submodule(path.removeprefix(CLIP))


def _place(layer: Any) -> torch.device:
    weight: Tensor = getattr(layer, "get_base_layer", lambda: layer)().weight
    return torch.device("cpu") if weight.is_meta else weight.device
