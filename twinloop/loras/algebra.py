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


def total(terms: Sequence[tuple[Layer, float]], dtype: str) -> Layer:
    """The weighted sum as one layer: matrices side by side, ranks added up, every scale and weight inside ``up``, alpha
    = rank.

    Raises:
        ModelFileError: layers of different sizes.
    """
    first = terms[0][0]
    for layer, _ in terms:
        if layer.down.shape[1:] != first.down.shape[1:] or layer.up.shape[0] != first.up.shape[0]:
            raise ModelFileError(f"one is {_size(first)}, another {_size(layer)}: they are for different models.")
    down = np.concatenate([layer.down.values() for layer, _ in terms])
    up = np.concatenate([layer.up.values() * (layer.scale * weight) for layer, weight in terms], axis=1)
    return Layer(_stored(down, dtype), _stored(up, dtype), float(down.shape[0]))


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
    return layer.up.values().reshape(layer.up.shape[0], -1), layer.down.values().reshape(layer.rank, -1)


def _size(layer: Layer) -> str:
    return f"{layer.up.shape[0]} x {'x'.join(map(str, layer.down.shape[1:]))}"
