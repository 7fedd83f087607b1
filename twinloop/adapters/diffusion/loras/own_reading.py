"""LoRA files of every dialect -> tensors under diffusers names, as `twinloop.loras` understands their names.

diffusers reads some dialects of each family, of others it loses alphas, text encoders or the lengths of a DoRA in
silence, and it knows FLUX.1 at its real size only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
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
from twinloop.loras.adapter import Place
from twinloop.loras.components import DENOISER
from twinloop.loras.dora import BASE_NORM, DORA_TEXT, understood_dora
from twinloop.loras.lora import Layer, read_lora
from twinloop.store.models.lora_file import header_texts

_ENCODERS = "text_encoders."
"""ComfyUI's."""
_DOWN, _UP, LENGTHS = ".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector"
_PROJECTION = ".text_projection"
_ATTENTION = ".self_attn.q_proj"
_OF_DIFFUSERS = (_DOWN, _UP, ".lora_B.bias", LENGTHS, f"{LENGTHS}.weight")


def is_of_diffusers(names: Iterable[str], family: Family) -> bool:
    """Whether all tensors bear diffusers' own names for the family, whose ranks and alphas are in the header, and none
    is missing; nor is one of those that `with_projections` looks after, or that diffusers would rename.

    Args:
        names: in the order of the file.
    """
    components, all_names = (f"{family.denoiser}.", ENCODER), [*names]
    if any(f"{_PROJECTION}." in name for name in all_names) or _taken_for_old(all_names) or _lack_lengths(all_names):
        return False
    return all(name.startswith(components) and name.endswith(_OF_DIFFUSERS) for name in all_names)


def _taken_for_old(names: Sequence[str]) -> bool:
    """Whether diffusers renames a layer's lengths, so that they fit nowhere and no error tells.

    It takes a file whose first tensor is no lora_A for an old one, in which ``to_out`` lacked the number behind it;
    FLUX.2's single blocks have none. safetensors puts wider numbers first, so that lengths in float32 come before pairs
    in float16.
    """
    return bool(names) and _DOWN not in names[0] and any(f".to_out{LENGTHS}" in name for name in names)


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
            named = _part(place, family)
            down, up = as_torch(layer.down), as_torch(layer.up)
            made[f"{named}{_DOWN}"] = down if layer.scale == 1.0 else down.float() * layer.scale
            made[f"{named}{_UP}"] = up
            if place in lengths:
                made[_lengths_name(named)] = _as_peft_has_it(as_torch(lengths[place]).float(), up)
    return made


def _part(place: Place, family: Family) -> str:
    """A layer with the part of the pipeline that it is in: what single files hold beside the denoiser is none of its
    own.
    """
    for part, prefix in family.single_file.carries.items():
        if place.component == DENOISER and place.path.startswith(prefix):
            return f"{part}.{place.path.removeprefix(prefix)}"
    return f"{family.denoiser if place.component == DENOISER else place.component}.{place.path}"


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


def with_projections(tensors: Mapping[str, Tensor], pipeline: Any) -> dict[str, Tensor]:
    """The same, so that diffusers loads the projection after a text encoder, which it does where all of the encoder has
    one rank and its attentions are adapted, too: ranks are filled up with zeros, and an attention that changes nothing
    is added. It takes the ranks from the attentions alone.

    Args:
        tensors: as `by_own_names` makes them.
    """
    made = dict(tensors)
    for stem in [name.removesuffix(_DOWN) for name in tensors if name.endswith(f"{_PROJECTION}{_DOWN}")]:
        component = stem.removesuffix(_PROJECTION)
        encoder = getattr(pipeline, component, None)
        downs = [name for name in tensors if name.startswith(f"{component}.") and name.endswith(_DOWN)]
        ranks = {len(tensors[name]) for name in downs}
        if downs == [f"{stem}{_DOWN}"] and encoder is not None:
            made |= _idle(component, encoder, tensors[downs[0]])
        for name in downs if len(ranks) > 1 else ():
            up = name.removesuffix(_DOWN) + _UP
            if up in tensors:
                made[name], made[up] = _of_rank(max(ranks), tensors[name], tensors[up])
    return made


def _idle(component: str, encoder: Any, like: Tensor) -> dict[str, Tensor]:
    """A pair of zeros for an attention of the encoder, of this pair's rank."""
    found = ((name, layer) for name, layer in encoder.named_modules() if name.endswith(_ATTENTION))
    name, layer = next(found, ("", None))
    if layer is None:
        return {}
    bare = getattr(layer, "base_layer", layer)
    stem = f"{component}.{name}"
    return {
        f"{stem}{_DOWN}": like.new_zeros(len(like), bare.in_features),
        f"{stem}{_UP}": like.new_zeros(bare.out_features, len(like)),
    }


def _of_rank(rank: int, down: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    return (
        torch.cat([down, down.new_zeros(rank - len(down), *down.shape[1:])]),
        torch.cat([up, up.new_zeros(len(up), rank - up.shape[1], *up.shape[2:])], dim=1),
    )


def _layer(model: Any, path: str) -> Any:
    """Versions of transformers differ in one word of CLIP's names."""
    try:
        return model.get_submodule(path)
    except AttributeError:
        return model.get_submodule(path.removeprefix(CLIP))


def _place(layer: Any) -> torch.device:
    weight: Tensor = getattr(layer, "get_base_layer", lambda: layer)().weight
    return torch.device("cpu") if weight.is_meta else weight.device
