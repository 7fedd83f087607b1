"""Arithmetic on low-rank pairs: sums, smaller ranks, sizes.

All in float64; a pair is never multiplied out to the full matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twinloop.errors import ModelFileError
from twinloop.loras.lora import Layer
from twinloop.loras.tensors import NAMES, Floats, RawTensor, check_finite, encode


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The update of one layer by its singular values.

    Attributes:
        left (out, rank), right (rank, in): orthonormal. values: (rank,), falling, of up @ down without the layer's
        scale.
    """

    left: Floats
    values: Floats
    right: Floats

    @property
    def energy(self) -> Floats:
        """Squares of the singular values; they add up to the squared Frobenius norm."""
        return self.values**2

    def rank_for(self, share: float) -> int:
        """The least rank that keeps ``share`` (0..1] of the energy; 1 where there is none."""
        total = self.energy.sum()
        if total == 0:
            return 1
        reached = np.cumsum(self.energy) >= share * total * (1 - 1e-12)
        return int(np.argmax(reached)) + 1 if reached.any() else len(self.values)


def spectrum(layer: Layer) -> Spectrum:
    """Singular value decomposition of up @ down through two thin QR decompositions.

    Raises:
        ModelFileError: the weights hold numbers that are not finite.
    """
    up, down = _flat(layer)
    check_finite(up, down)
    left, upper = np.linalg.qr(up)
    right, lower = np.linalg.qr(down.T)
    inner_left, values, inner_right = np.linalg.svd(upper @ lower.T)
    return Spectrum(left @ inner_left[:, : len(values)], values, inner_right[: len(values)] @ right.T)


def norm(layer: Layer) -> float:
    """Frobenius norm of the update, scale included; nan or inf where the weights are."""
    up, down = _flat(layer)
    with np.errstate(all="ignore"):
        square = float(np.sum((up.T @ up) * (down @ down.T)))
    return abs(layer.scale) * math.sqrt(max(square, 0.0)) if square == square else math.nan


def cut(layer: Layer, found: Spectrum, rank: int, dtype: str) -> Layer:
    """The nearest layer of a smaller rank (Eckart-Young); alpha over rank stays as it was."""
    root = np.sqrt(found.values[:rank])
    up, down = found.left[:, :rank] * root, root[:, None] * found.right[:rank]
    alpha = None if layer.alpha is None else layer.alpha * rank / layer.rank
    wide, high = (rank, *layer.down.shape[1:]), (layer.up.shape[0], rank, *layer.up.shape[2:])
    return Layer(_stored(down.reshape(wide), dtype), _stored(up.reshape(high), dtype), alpha)


@dataclass(frozen=True, eq=False)
class Addend:
    """One layer of a weighted sum.

    Attributes:
        peaks: (rank,) largest number of each column of ``up``, scale and weight included; of all layers that share this
            ``down``, so that they go on sharing one.
    """

    layer: Layer
    weight: float
    peaks: Floats


def peaks(layer: Layer, weight: float) -> Floats:
    """As `Addend.peaks`, of this layer alone."""
    return np.asarray(np.abs(_flat_up(layer)).max(axis=0) * abs(layer.scale * weight), dtype=np.float64)


def total(terms: Sequence[Addend], dtype: str) -> Layer:
    """The weighted sum as one layer: matrices side by side, ranks added up, every scale and weight inside them, alpha =
    rank.

    Raises:
        ModelFileError: layers of different sizes.
    """
    first = terms[0].layer
    for term in terms:
        layer = term.layer
        if layer.down.shape[1:] != first.down.shape[1:] or layer.up.shape[0] != first.up.shape[0]:
            raise ModelFileError(f"one is {_size(first)}, another {_size(layer)}: they are for different models.")
    pairs = [_scaled(term, dtype) for term in terms]
    down = np.concatenate([down for down, _ in pairs])
    up = np.concatenate([up for _, up in pairs], axis=1)
    return Layer(_stored(down, dtype), _stored(up, dtype), float(down.shape[0]))


_HALF = np.finfo(np.float16)


def _scaled(term: Addend, dtype: str) -> tuple[Floats, Floats]:
    """(down, up) with scale and weight inside ``up``; where half precision holds one of the two badly, being too small
    or too large, both share what they come to.

    By powers of two, which round nothing.
    """
    layer = term.layer
    down, up = layer.down.values(), layer.up.values() * (layer.scale * term.weight)
    if dtype != "F16":
        return down, up
    low, high = float(_HALF.tiny), float(_HALF.max)
    heights = np.abs(down.reshape(layer.rank, -1)).max(axis=1)
    held = [(low <= size) & (size <= high) for size in (heights, term.peaks)]
    moved = (heights > 0) & (term.peaks > 0) & ~(held[0] & held[1])
    ratio = np.divide(term.peaks, heights, out=np.ones_like(heights), where=moved)
    factors = 2.0 ** np.round(np.log2(ratio) / 2)
    return (
        down * factors.reshape(-1, *[1] * (down.ndim - 1)),
        up / factors.reshape(1, -1, *[1] * (up.ndim - 2)),
    )


def _stored(values: Floats, dtype: str) -> RawTensor:
    """What the type cannot hold becomes infinite (`check_held`)."""
    with np.errstate(over="ignore"):
        return encode(values, dtype)


def check_held(*tensors: RawTensor) -> None:
    """Raises ModelFileError where a finite number became infinite in the type that it was stored in."""
    for tensor in tensors:
        if not np.isfinite(tensor.values()).all():
            name = next((name for name, short in NAMES.items() if short == tensor.dtype), tensor.dtype)
            wider = "float32 or bfloat16" if tensor.dtype == "F16" else "smaller weights"
            raise ModelFileError(f"numbers are too large for {name}. Take {wider}.")


def _flat(layer: Layer) -> tuple[Floats, Floats]:
    """(out, rank) and (rank, in x kernel)."""
    return _flat_up(layer), layer.down.values().reshape(layer.rank, -1)


def _flat_up(layer: Layer) -> Floats:
    return layer.up.values().reshape(layer.up.shape[0], -1)


def _size(layer: Layer) -> str:
    return f"{layer.up.shape[0]} x {'x'.join(map(str, layer.down.shape[1:]))}"
