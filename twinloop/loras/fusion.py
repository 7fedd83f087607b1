"""Layers that one model keeps as one matrix and another as several: updates of them, split and put together without
rounding.

A LoRA over the whole matrix shares one ``down`` among the parts; the parts' ``up`` lie one above the other. LoRAs over
the parts become one over the whole with their ``down`` one above the other and their ``up`` along the diagonal, zero
elsewhere. LoKrs over the parts are one over the whole only where they came from one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from twinloop.errors import ModelFileError
from twinloop.families.lora_names import Rename
from twinloop.loras.kronecker import Kronecker
from twinloop.loras.lora import Layer, Update, neat
from twinloop.loras.products import cut_rows, halves_swapped, stacked
from twinloop.loras.tensors import Bits, RawTensor, encode


def split(update: Update, rename: Rename) -> list[Update]:
    """One update per part.

    Raises:
        ModelFileError: the height of the whole cannot be divided as the model's is.
    """
    unit, rest = divmod(update.outputs, sum(rename.heights))
    if rest:
        raise ModelFileError(f"a layer {rename.theirs} of height {update.outputs} is none of this model's.")
    edges = [int(edge) for edge in np.cumsum([share * unit for share in rename.heights])]
    if isinstance(update, Kronecker):
        return [*cut_rows(update, edges)] if len(edges) > 1 else [_turned(update, rename)]
    return [*_split_pair(update, rename, [0, *edges])]


def _split_pair(layer: Layer, rename: Rename, edges: Sequence[int]) -> list[Layer]:
    """A diagonal ``up`` gives each part its own share of the rank; otherwise all share ``down``.

    Parts that change nothing have no share where only the others were put together (`_along_diagonal`).
    """
    up = _ordered(layer, rename)
    if len(rename.ours) == 1:
        return [Layer(layer.down, RawTensor(layer.up.dtype, up), layer.alpha)]
    ups = [up[first:last] for first, last in itertools.pairwise(edges)]
    shares = _diagonal(ups, [*range(len(ups))]) or _diagonal(ups, [n for n, part in enumerate(ups) if part.any()])
    if shares is None:
        return [Layer(layer.down, RawTensor(layer.up.dtype, part), layer.alpha) for part in ups]
    rank = shares[0].stop - shares[0].start
    alpha = None if layer.alpha is None else neat(layer.alpha * rank / layer.rank)
    return [
        Layer(RawTensor(layer.down.dtype, layer.down.bits[own]), RawTensor(layer.up.dtype, part[:, own]), alpha)
        for part, own in zip(ups, shares, strict=True)
    ]


def _diagonal(ups: Sequence[Bits], among: Sequence[int]) -> list[slice] | None:
    """Each part's columns, if those of these parts lie along the diagonal with nothing beside them, and something on
    it; a part that is not among them, which is zero, has any.
    """
    if not among or ups[0].shape[1] % len(among):
        return None
    rank = ups[0].shape[1] // len(among)
    shares = [slice(0, rank)] * len(ups)
    for column, number in enumerate(among):
        shares[number] = slice(column * rank, (column + 1) * rank)
    beside = (np.delete(part, own, axis=1) for part, own in zip(ups, shares, strict=True))
    return shares if not any(part.any() for part in beside) and any(part.any() for part in ups) else None


def fuse(parts: Sequence[Update | None], rename: Rename) -> Update | None:
    """The parts' updates as one; an entry of None = a part without one.

    The result is None where LoKrs are not one LoKr.
    """
    pairs = [part for part in parts if not isinstance(part, Kronecker)]
    if len(pairs) == len(parts):
        return _fuse_pairs(pairs, rename)
    products = [part for part in parts if isinstance(part, Kronecker)]
    if len(products) < len(parts):
        return None
    return stacked(products) if len(products) > 1 else _turned(products[0], rename)


def _turned(update: Kronecker, rename: Rename) -> Kronecker:
    """The rows as the other code has them; the same either way."""
    return halves_swapped(update) if rename.swapped and update.outputs == 2 * update.inputs else update


def _fuse_pairs(parts: Sequence[Layer | None], rename: Rename) -> Layer:
    """The parts as one layer; None = a part without a LoRA.

    Parts that share ``down``, as `split` made them, come together as they were. Others add up their ranks. Only where
    their scales differ are numbers changed: the scale then goes into ``up``.
    """
    present = [part for part in parts if part is not None]
    first = present[0]
    if len(rename.ours) == 1:
        return Layer(first.down, RawTensor(first.up.dtype, _ordered(first, rename)), first.alpha)
    shared = len(present) == len(parts) and all(
        part.alpha == first.alpha and part.up.dtype == first.up.dtype and part.down.same(first.down) for part in present
    )
    if shared:
        return Layer(
            first.down, RawTensor(first.up.dtype, np.concatenate([part.up.bits for part in present])), first.alpha
        )
    return _along_diagonal(parts, _of_one_scale(present), rename)


def _of_one_scale(present: Sequence[Layer]) -> dict[int, Layer]:
    """Each part by its identity, with a common scale and common types."""
    first = present[0]
    alike = all(
        part.scale == first.scale and part.up.dtype == first.up.dtype and part.down.dtype == first.down.dtype
        for part in present
    )
    if alike:
        return {id(part): part for part in present}
    return {
        id(part): Layer(encode(part.down.values(), "F32"), encode(part.up.values() * part.scale, "F32"), None)
        for part in present
    }


def _along_diagonal(parts: Sequence[Layer | None], common: dict[int, Layer], rename: Rename) -> Layer:
    layers = [None if part is None else common[id(part)] for part in parts]
    present = [layer for layer in layers if layer is not None]
    unit = next(
        layer.up.shape[0] // share for layer, share in zip(layers, rename.heights, strict=True) if layer is not None
    )
    total = sum(layer.rank for layer in present)
    up = np.zeros((unit * sum(rename.heights), total), present[0].up.bits.dtype)
    row = column = 0
    for layer, share in zip(layers, rename.heights, strict=True):
        if layer is not None:
            if layer.up.shape != (share * unit, layer.rank):
                raise ModelFileError(f"the parts of {rename.theirs} do not fit each other in height.")
            up[row : row + share * unit, column : column + layer.rank] = layer.up.bits
            column += layer.rank
        row += share * unit
    first = present[0]
    given = any(layer.alpha is not None for layer in present)
    alpha = neat((first.rank if first.alpha is None else first.alpha) * total / first.rank) if given else None
    down = np.concatenate([layer.down.bits for layer in present])
    return Layer(RawTensor(first.down.dtype, down), RawTensor(first.up.dtype, up), alpha)


def _ordered(layer: Layer, rename: Rename) -> Bits:
    """The rows of ``up`` as the other code has them; the same either way."""
    bits = layer.up.bits
    half = bits.shape[0] // 2
    if not rename.swapped or half != layer.down.shape[1]:
        return bits
    return np.concatenate([bits[half:], bits[:half]])
