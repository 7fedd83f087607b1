"""A LoRA or LoKr free of any dialect: layers by diffusers' paths, whatever the file called them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from twinloop.errors import ModelFileError
from twinloop.families import unet_names
from twinloop.families.base import Family
from twinloop.families.lora_layers import Sized
from twinloop.families.lora_names import CLIP, LYCORIS, Rename, template
from twinloop.families.registered import is_unet_family, lora_names_of
from twinloop.loras import lora_diffusion
from twinloop.loras.components import COMFYUI, DENOISER, KOHYA
from twinloop.loras.family import family_of, shares_layers
from twinloop.loras.fusion import split
from twinloop.loras.layouts import read_layout_of
from twinloop.loras.lora import Dialect, LoraFile, Update
from twinloop.loras.tensors import AGAIN
from twinloop.loras.words import dotted

T = TypeVar("T")


class Place(NamedTuple):
    """Where a layer is: ``denoiser``, ``text_encoder``, ``text_encoder_2`` or ``text_encoder_3``, and its path in
    diffusers.
    """

    component: str
    path: str


@dataclass(frozen=True, eq=False)
class Adapter:
    """A LoRA or LoKr.

    Attributes:
        family: of base models, "" = could not be told. original: it came under the names of the base's original code
            (kohya's, ComfyUI's), which its paths still are where the family could not be told.
    """

    family: str
    layers: Mapping[Place, Update]
    original: bool = False


def understood(file: LoraFile, known: str = "") -> Adapter:
    """The layers of a file by diffusers' paths, fused layers split.

    Args:
        known: family of the base model that it shall fit; "" = told by the file.

    Raises:
        ModelFileError: a name that this program does not know, or more than LoRA and LoKr in the file.
    """
    file.plain()
    try:
        named = _named(file)
        denoiser = {place.path: layer for place, layer in named.items() if place.component == DENOISER}
        family = known or family_of(denoiser, {place.component for place in named}, file.texts)
        layers: dict[Place, Update] = {}
        for place, layer in named.items():
            for own, part in _renamed(place, layer, family):
                if own in layers:
                    raise ModelFileError(f"the layer {own.path[:80]!r} is there under two names. {AGAIN}")
                layers[own] = part
    except ModelFileError as error:
        raise ModelFileError(f"{file.path}: {error}") from error
    return Adapter(family, layers, file.dialect in (Dialect.KOHYA, Dialect.COMFYUI))


def families_name(file: LoraFile) -> str:
    """The family alone, "" where names are unknown; for looking at a file of any method."""
    named = _sizes(file)
    return "" if named is None else family_of(_of_denoiser(named), {place.component for place in named}, file.texts)


def fits_as_well(file: LoraFile, family: Family) -> bool:
    """Whether a file's layers are the family's, too, although it is taken for one of a family that is seen more often
    (`Fit.SHARED`).
    """
    return shares_layers(family, _of_denoiser(_sizes(file) or {}))


def _sizes(file: LoraFile) -> dict[Place, Sized] | None:
    """The layers of a file of any method; None where names are unknown."""
    try:
        return {**_named(file), **_placed(file.hadamards, file.dialect)}
    except ModelFileError:
        return None


def _of_denoiser(named: Mapping[Place, T]) -> dict[str, T]:
    return {place.path: layer for place, layer in named.items() if place.component == DENOISER}


def _named(file: LoraFile) -> dict[Place, Update]:
    """Component and path of every layer, the path still in the words of the file."""
    if file.dialect is Dialect.LORA_DIFFUSION:
        return {_diffusers(name): layer for name, layer in lora_diffusion.renamed(file.pairs).items()}
    return _placed(file.layers, file.dialect)


def _placed(layers: Mapping[str, T], dialect: Dialect) -> dict[Place, T]:
    place = {Dialect.DIFFUSERS: _diffusers, Dialect.KOHYA: _kohya, Dialect.COMFYUI: _comfyui}.get(dialect, _diffusers)
    named: dict[Place, T] = {}
    for name, layer in layers.items():
        where = place(name)
        if where in named:
            raise ModelFileError(f"the layer {name[:80]!r} is there twice. {AGAIN}")
        named[where] = layer
    return named


def _diffusers(name: str) -> Place:
    component, _, path = name.removeprefix("base_model.model.").partition(".")
    if component in ("unet", "transformer"):
        path = path.replace(".processor.", ".")  # how diffusers called attention layers in its first year
        return Place(DENOISER, f"{path}.0" if path.endswith(".to_out") and "single_transformer" not in path else path)
    return Place(component, _whole_encoder_path(path))


def _whole_encoder_path(path: str) -> str:
    """Files have the word that newer versions of transformers leave out of CLIP's names."""
    return f"{CLIP}{path}" if path.startswith("encoder.layers.") else path


def _kohya(name: str) -> Place:
    if name.startswith(LYCORIS):
        return Place(DENOISER, dotted(name.removeprefix(LYCORIS)))
    _, short, rest = name.split("_", 2)
    return Place(KOHYA[short], dotted(rest.removeprefix("_")))  # some trainers write lora_unet__layers_...


def _comfyui(name: str) -> Place:
    first, _, path = name.partition(".")
    if first == "diffusion_model":
        return Place(DENOISER, path)
    encoder, _, inner = path.partition(".transformer.")
    if encoder not in COMFYUI or not inner:
        raise ModelFileError(
            f"the text encoder of the layer {name[:80]!r} is not known here. Use the file in the program that wrote it."
        )
    return Place(COMFYUI[encoder], inner)


def _renamed(place: Place, layer: Update, family: str) -> Iterator[tuple[Place, Update]]:
    component, path = place
    if component != DENOISER:
        yield Place(lora_names_of(family).encoder_of(component), path), layer
    elif unet_names.is_original(path) and (not family or is_unet_family(family)):
        yield Place(component, unet_names.to_diffusers(path)), layer
    else:
        for name, part in _split(path, layer, read_layout_of(family)):
            yield Place(component, name), part


def _split(path: str, layer: Update, layout: Sequence[Rename]) -> Iterator[tuple[str, Update]]:
    pattern, number = template(path)
    for rename in layout:
        if rename.theirs in (pattern, path):  # a number may be none of a block's
            yield from zip((part.replace("{}", number) for part in rename.ours), split(layer, rename), strict=True)
            return
    ours = {part for rename in layout for part in rename.ours}
    if pattern not in ours and re.match(r"(double_blocks|single_blocks|joint_blocks|final_layer)\b", path):
        raise ModelFileError(
            f"the layer {path[:80]!r} has no counterpart that this program knows. Use the file in the program that"
            " wrote it."
        )
    yield path, layer
