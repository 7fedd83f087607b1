"""Arithmetic on LoKr updates: sizes, the nearest LoRA, smaller ranks, rows. A product is never multiplied out.

The singular values of kron(w1, w2) are the products of the singular values of w1 and of w2, and its singular vectors
are the Kronecker products of theirs. So the best LoRA of any rank (Eckart-Young) follows from two small decompositions,
however large the layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from twinloop.errors import ModelFileError
from twinloop.loras.kronecker import Kronecker
from twinloop.loras.lora import Layer
from twinloop.loras.tensors import Floats, RawTensor, check_finite, encode, widest


def product_norm(update: Kronecker) -> float:
    """Frobenius norm of the whole product, scale included; nan or inf where the weights are."""
    with np.errstate(all="ignore"):
        return abs(update.scale) * float(np.linalg.norm(update.left()) * np.linalg.norm(update.right()))


class Decomposed:
    """Singular values of a product, largest first, and the vectors that belong to them.

    Raises:
        ModelFileError: the weights hold numbers that are not finite.
    """

    def __init__(self, update: Kronecker) -> None:
        left, right = update.left(), update.right()
        check_finite(left, right)
        self._update = update
        self._small = np.linalg.svd(left, full_matrices=False)
        self._large = np.linalg.svd(right, full_matrices=False)
        values = np.outer(self._small[1], self._large[1]).ravel()
        self._order = np.argsort(-values, kind="stable")
        self.energy: Floats = (values[self._order] * update.scale) ** 2

    @property
    def rank(self) -> int:
        """How many singular values are more than rounding; at least 1."""
        top = self.energy[0] if len(self.energy) else 0.0
        return max(1, int((self.energy > top * np.finfo(np.float64).eps).sum()))

    def rank_for(self, share: float) -> int:
        """The least rank that keeps ``share`` (0..1] of the energy; 1 where there is none."""
        total = self.energy.sum()
        reached = np.cumsum(self.energy) >= share * total * (1 - 1e-12)
        return int(np.argmax(reached)) + 1 if total > 0 and reached.any() else 1

    def lora(self, rank: int, dtype: str) -> Layer:
        """The nearest pair of that rank; alpha = rank, the scale lies in both matrices."""
        count = len(self._large[1])
        chosen = self._order[:rank]
        one, other = chosen // count, chosen % count
        root = np.sqrt(self._small[1][one] * self._large[1][other] * abs(self._update.scale))
        sign = -1.0 if self._update.scale < 0 else 1.0
        up = np.einsum("ar,br->abr", self._small[0][:, one], self._large[0][:, other]).reshape(-1, rank) * (root * sign)
        down = np.einsum("rc,rd->rcd", self._small[2][one], self._large[2][other]).reshape(rank, -1) * root[:, None]
        kernel = self._update.kernel
        wide, high = (rank, -1, *kernel), (up.shape[0], rank, *(1 for _ in kernel))
        return Layer(encode(down.reshape(wide), dtype), encode(up.reshape(high), dtype), float(rank))


def shrunk(update: Kronecker, rank: int | None, energy: float | None, dtype: str | None) -> tuple[Kronecker, float]:
    """The nearest LoKr whose large matrix is a pair of a smaller rank, with the same small matrix; and the share of the
    energy that is left.

    A pair that would not be smaller than the matrix leaves the update as it is. alpha over rank stays as it was.

    Raises:
        ModelFileError: the weights hold numbers that are not finite.
    """
    target = dtype or widest(update.dtypes)
    small, large = update.left(), update.right()
    check_finite(small, large)
    left, values, right = np.linalg.svd(large, full_matrices=False)
    whole = float((values**2).sum())
    reached = np.cumsum(values**2) >= (energy or 1.0) * whole * (1 - 1e-12)
    wanted = int(np.argmax(reached)) + 1 if energy is not None and whole > 0 else len(values)
    limit = min(wanted, len(values) if rank is None else rank)
    before = update.rank if "w2" not in update.parts else None
    smaller = (
        limit < before if before is not None else limit * (len(left) + right.shape[1]) < left.shape[0] * right.shape[1]
    )
    if not smaller:
        return (update if dtype is None else recoded(update, dtype)), 1.0
    root = np.sqrt(values[:limit])
    parts = {
        "w1": update.parts["w1"] if dtype is None and "w1" in update.parts else encode(small, target),
        "w2_a": encode(left[:, :limit] * root, target), "w2_b": encode(root[:, None] * right[:limit], target),
    }  # fmt: skip
    kept = float((values[:limit] ** 2).sum()) / whole if whole else 1.0
    return Kronecker(parts, update.scale * limit, update.rows), kept


def recoded(update: Kronecker, dtype: str) -> Kronecker:
    """The same with numbers of another type."""
    return replace(update, parts={name: encode(part.values(), dtype) for name, part in update.parts.items()})


def cut_rows(update: Kronecker, edges: Sequence[int]) -> list[Kronecker]:
    """The update of a fused layer as one update per part, whose outputs end at ``edges``.

    Where parts meet between two rows of the small matrix each gets its rows; elsewhere they share the whole product and
    name their window.
    """
    b, name = update.large[0], "w1" if "w1" in update.parts else "w1_a"
    spans = list(zip([0, *edges[:-1]], edges, strict=True))
    if any(edge % b for edge in edges):
        return [replace(update, rows=span) for span in spans]
    rows = update.parts[name]
    return [
        replace(update, parts={**update.parts, name: RawTensor(rows.dtype, rows.bits[first // b : last // b])})
        for first, last in spans
    ]


def stacked(parts: Sequence[Kronecker]) -> Kronecker | None:
    """Updates of layers that are one in another program as its single update, the way back from `cut_rows`; None =
    there is none.

    There is one only where all parts share all but the rows of the small matrix.
    """
    first = parts[0]
    name = "w1" if "w1" in first.parts else "w1_a"
    windows = [part.rows for part in parts]
    if None not in windows:
        return (
            replace(first, rows=None)
            if _alike(parts, "") and sum(part.outputs for part in parts) == first.small[0] * first.large[0]
            else None
        )
    if any(windows) or not _alike(parts, name):
        return None
    rows = RawTensor(first.parts[name].dtype, np.concatenate([part.parts[name].bits for part in parts]))
    return replace(first, parts={**first.parts, name: rows})


def _alike(parts: Sequence[Kronecker], but: str) -> bool:
    """Whether all parts but one, and alpha, are the same bit for bit."""
    first = parts[0]
    return all(
        part.alpha == first.alpha and part.parts.keys() == first.parts.keys()
        and all(part.parts[name].same(first.parts[name]) for name in first.parts if name != but)
        and (not but or part.parts[but].dtype == first.parts[but].dtype)
        for part in parts
    )  # fmt: skip


def halves_swapped(update: Kronecker) -> Kronecker:
    """The update with its first and second half of outputs exchanged.

    Raises:
        ModelFileError: the border between the halves lies within a row of the small matrix.
    """
    name = "w1" if "w1" in update.parts else "w1_a"
    rows = update.parts[name]
    half, odd = divmod(rows.shape[0], 2)
    if odd or update.rows is not None:
        raise ModelFileError(
            "a LoKr over a layer whose halves are the other way round elsewhere cannot be renamed: its small matrix has"
            " an odd height. Make it a LoRA: twinloop lora convert FILE --to lora --rank N --output FILE"
        )
    swapped = np.concatenate([rows.bits[half:], rows.bits[:half]])
    return replace(update, parts={**update.parts, name: RawTensor(rows.dtype, swapped)})


def as_pair(layer: Layer) -> Kronecker:
    """A LoRA as the product of the number 1 with it, so that one file may hold both kinds of layers."""
    one = encode(np.ones((1, 1)), layer.up.dtype)
    down, up = layer.down, layer.up
    flat = RawTensor(down.dtype, down.bits.reshape(layer.rank, math.prod(down.shape[1:])))
    return Kronecker(
        {"w1": one, "w2_a": RawTensor(up.dtype, up.bits.reshape(up.shape[0], layer.rank)), "w2_b": flat}, layer.alpha
    )
