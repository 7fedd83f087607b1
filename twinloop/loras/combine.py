"""Several LoRAs into one, and one LoRA or LoKr into a smaller one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from twinloop.errors import InputError, ModelFileError, NothingToDo
from twinloop.loras.adapter import Adapter, Place
from twinloop.loras.algebra import Addend, check_held, cut, peaks, spectrum, total
from twinloop.loras.lora import Layer, Update
from twinloop.loras.products import product_norm, shrunk
from twinloop.loras.tensors import Floats, check_finite, widest
from twinloop.ports import Reporter

K = TypeVar("K")


@dataclass(frozen=True)
class Reduction:
    """How far to go down.

    ``rank``: at most; ``energy``: the least rank of each layer that keeps this share (0..1]. None = no such limit.
    """

    rank: int | None = None
    energy: float | None = None

    def __post_init__(self) -> None:
        if self.rank is None and self.energy is None:
            raise InputError("How small? Give --rank N, --energy SHARE (as 0.95), or both.")

    def __str__(self) -> str:
        told = (
            "" if self.rank is None else f"rank {self.rank}",
            "" if self.energy is None else f"energy {self.energy:g}",
        )
        return ", ".join(filter(None, told))


@dataclass(frozen=True, eq=False)
class Resized(Generic[K]):
    """Layers of smaller rank.

    Attributes:
        kept: share of all energy (sum of squared singular values, scales included) that is left, 0..1. worst: the layer
            that kept least.
        worst_kept: its share. ranks: least and largest rank now; matrices that stay whole do not count.
    """

    layers: dict[K, Update]
    kept: float
    worst: K
    worst_kept: float
    ranks: tuple[int, int]


def resized(layers: Mapping[K, Update], limit: Reduction, dtype: str | None, reporter: Reporter) -> Resized[K]:
    """Every layer cut to its limit; of a LoKr its large matrix.

    Layers that are small enough stay bit for bit, unless another type is asked for.

    Args:
        dtype: safetensors' name of the type; None = each layer's own.

    Raises:
        NothingToDo: no layer would change. ModelFileError: weights that are not finite.
    """
    made: dict[K, Update] = {}
    shares: dict[K, float] = {}
    whole = left = 0.0
    for number, (name, layer) in enumerate(layers.items(), 1):
        if isinstance(layer, Layer):
            made[name], energy, shares[name] = _resized_pair(layer, limit, dtype)
        else:
            small, shares[name] = shrunk(layer, limit.rank, limit.energy, dtype)
            if small is not layer:
                check_held(*small.parts.values())
            made[name] = small
            energy = product_norm(layer) ** 2
        whole, left = whole + energy, left + energy * shares[name]
        reporter.progress("Decomposing", number, len(layers))
    if dtype is None and all(made[name] is layer for name, layer in layers.items()):
        ranks = sorted({layer.rank for layer in layers.values() if layer.rank is not None}) or [0]
        raise NothingToDo(
            f"Nothing to make smaller: its ranks ({ranks[0]} to {ranks[-1]}) are within the limit already."
        )
    worst = min(shares, key=lambda name: shares[name])
    sizes = [layer.rank for layer in made.values() if layer.rank is not None] or [0]
    return Resized(made, left / whole if whole else 1.0, worst, shares[worst], (min(sizes), max(sizes)))


def _resized_pair(layer: Layer, limit: Reduction, dtype: str | None) -> tuple[Layer, float, float]:
    """(the layer within its limit, its energy before with its scale, the share of that which is left)."""
    found = spectrum(layer)
    rank = _limited(
        layer, found.rank_for(limit.energy) if limit.energy is not None else layer.rank, limit.rank, len(found.values)
    )
    target = dtype or widest([layer.down.dtype, layer.up.dtype])
    made = layer if rank == layer.rank and dtype is None else cut(layer, found, rank, target)
    if made is not layer:
        check_held(made.down, made.up)
    energy, kept = float(found.energy.sum()), float(found.energy[:rank].sum())
    return made, energy * layer.scale**2, kept / energy if energy else 1.0


def _limited(layer: Layer, wanted: int, limit: int | None, possible: int) -> int:
    """A rank cannot be more than the matrix has."""
    return min(wanted, layer.rank, possible, *(() if limit is None else (limit,)))


@dataclass(frozen=True, eq=False)
class Part:
    """One LoRA of a sum. ``name``: of its file, for messages."""

    name: str
    adapter: Adapter
    weight: float


def merged(parts: Sequence[Part], dtype: str) -> Adapter:
    """The weighted sum; a layer that only some have is summed over those.

    Raises:
        InputError: fewer than one LoRA, or LoRAs of different families. ModelFileError: a layer has different sizes.
    """
    families = {part.adapter.family for part in parts} - {""}
    if len(families) > 1:
        told = ", ".join(f"{part.name} is for {part.adapter.family or 'an unknown base'}" for part in parts)
        raise InputError(f"LoRAs for different base models cannot be merged: {told}.")
    loudest = {id(part): _peaks(part) for part in parts}
    layers = {place: _sum(place, having, loudest, dtype) for place, having in _by_place(parts)}
    original = all(part.adapter.original for part in parts)
    return replace(parts[0].adapter, family=families.pop() if families else "", layers=layers, original=original)


def _peaks(part: Part) -> dict[int, Floats]:
    """As `Addend.peaks`, by the identity of what the layers share: query, key and value of one matrix, for example.

    Raises:
        ModelFileError: numbers that are not finite.
    """
    found: dict[int, Floats] = {}
    for place, update in part.adapter.layers.items():
        layer = _pair(update)
        try:
            check_finite(layer.down.values(), layer.up.values())
        except ModelFileError as error:
            raise ModelFileError(f"{part.name}: in the layer {place.path}, {error}") from error
        own, shared = peaks(layer, part.weight), found.get(id(layer.down))
        found[id(layer.down)] = own if shared is None else np.maximum(own, shared)
    return found


def _by_place(parts: Sequence[Part]) -> Iterator[tuple[Place, list[Part]]]:
    places = dict.fromkeys(place for part in parts for place in part.adapter.layers)
    for place in places:
        yield place, [part for part in parts if place in part.adapter.layers]


def _pair(layer: Update) -> Layer:
    assert isinstance(layer, Layer)  # LoKrs became pairs before (`extraction.as_pairs`)
    return layer


def _sum(place: Place, parts: Sequence[Part], loudest: Mapping[int, Mapping[int, Floats]], dtype: str) -> Layer:
    """``loudest``: as `_peaks`, by the identity of the part."""
    layers = [(part, _pair(part.adapter.layers[place])) for part in parts]
    terms = [Addend(layer, part.weight, loudest[id(part)][id(layer.down)]) for part, layer in layers]
    names = " and ".join(part.name for part in parts)
    try:
        made = total(terms, dtype)
    except ModelFileError as error:
        raise ModelFileError(f"{names} do not go together: in the layer {place.path}, {error}") from error
    try:
        check_held(made.down, made.up)
    except ModelFileError as error:
        raise ModelFileError(f"the sum of {names}: in the layer {place.path}, {error}") from error
    return made
