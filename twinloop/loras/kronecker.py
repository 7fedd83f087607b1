"""One LoKr update: the Kronecker product of a small and a large matrix, as LyCORIS defines and stores it (arXiv
2309.14859).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from twinloop.errors import ModelFileError
from twinloop.loras.tensors import AGAIN, Floats, RawTensor

PARTS = ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")
"""Of one update, in a file each after ``lokr_``."""
_FORMS = (
    frozenset({"w1", "w2"}),
    frozenset({"w1", "w2_a", "w2_b"}),
    frozenset({"w1", "w2_a", "w2_b", "t2"}),
    frozenset({"w1_a", "w1_b", "w2"}),
    frozenset({"w1_a", "w1_b", "w2_a", "w2_b"}),
    frozenset({"w1_a", "w1_b", "w2_a", "w2_b", "t2"}),
)


@dataclass(frozen=True, eq=False)
class Kronecker:
    """kron(w1, w2) x scale, where row i x b + k and column j x d + l hold w1[i, j] x w2[k, l].

    Attributes:
        parts: ``w1`` (a, c), or ``w1_a`` (a, r) @ ``w1_b`` (r, c); ``w2`` (b, d) or (b, d, kernel), or ``w2_a`` (b, r)
            @ ``w2_b`` (r, d x kernel), or with a Tucker core ``t2`` (r, r, kernel), ``w2_a`` (r, b) and ``w2_b`` (r,
            d).
        alpha: None = not given. It says nothing where both matrices are whole: their scale is 1.
        rows: (first, end) of the outputs, where several layers share one product; None = all.
    """

    parts: Mapping[str, RawTensor]
    alpha: float | None
    rows: tuple[int, int] | None = None

    @property
    def rank(self) -> int | None:
        """Of the pair that stands for a matrix, the large one's before the small one's; None = both are whole."""
        if "w2" not in self.parts:
            return self.parts["w2_a"].shape[0 if "t2" in self.parts else 1]
        return self.parts["w1_a"].shape[1] if "w1_a" in self.parts else None

    @property
    def scale(self) -> float:
        """What the product is multiplied with: alpha / rank, and 1 where both matrices are whole (LyCORIS, ComfyUI,
        diffusers).
        """
        return 1.0 if self.rank is None or self.alpha is None else self.alpha / self.rank

    @property
    def small(self) -> tuple[int, int]:
        """(a, c), the size of the small matrix."""
        if "w1" in self.parts:
            return self.parts["w1"].shape[0], self.parts["w1"].shape[1]
        return self.parts["w1_a"].shape[0], self.parts["w1_b"].shape[1]

    @property
    def large(self) -> tuple[int, int]:
        """(b, d), the size of the large matrix; a pair over a convolution counts its kernel with d."""
        if "w2" in self.parts:
            return self.parts["w2"].shape[0], self.parts["w2"].shape[1]
        axis = 1 if "t2" in self.parts else 0
        return self.parts["w2_a"].shape[axis], self.parts["w2_b"].shape[1]

    @property
    def kernel(self) -> tuple[int, ...]:
        """Of a convolution, as far as the parts tell; () for a linear layer, and for a pair, which does not tell."""
        whole = self.parts.get("w2", self.parts.get("t2"))
        return () if whole is None else whole.shape[2:]

    @property
    def outputs(self) -> int:
        whole = self.small[0] * self.large[0]
        return whole if self.rows is None else self.rows[1] - self.rows[0]

    @property
    def inputs(self) -> int:
        return self.small[1] * self.large[1]

    @property
    def dtypes(self) -> list[str]:
        return [part.dtype for part in self.parts.values()]

    def left(self) -> Floats:
        """The small matrix, (a, c)."""
        return (
            self.parts["w1"].values()
            if "w1" in self.parts
            else self.parts["w1_a"].values() @ self.parts["w1_b"].values()
        )

    def right(self) -> Floats:
        """The large matrix, (b, d x kernel)."""
        if "w2" in self.parts:
            return self.parts["w2"].values().reshape(self.parts["w2"].shape[0], -1)
        first, second = self.parts["w2_a"].values(), self.parts["w2_b"].values()
        if "t2" not in self.parts:
            return first @ second
        core = self.parts["t2"].values()
        whole = np.einsum("ij...,ip,jr->pr...", core, first, second)
        return np.asarray(whole.reshape(whole.shape[0], -1), np.float64)


def kronecker(stem: str, parts: Mapping[str, RawTensor], alpha: float | None) -> Kronecker:
    """The update of the layer ``stem``, checked.

    Raises:
        ModelFileError: parts are missing, too many, of whole numbers, or do not fit each other.
    """
    if frozenset(parts) not in _FORMS:
        raise ModelFileError(
            f"the LoKr layer {stem[:80]!r} has the parts {', '.join(sorted(parts))}, from which no product can be made."
            f" {AGAIN}"
        )
    made = Kronecker(parts, alpha)
    if not _fits(parts) or not all(part.dtype.startswith(("F", "BF")) for part in parts.values()):
        shapes = ", ".join(f"{name} {part.shape}" for name, part in parts.items())
        raise ModelFileError(f"the parts of the LoKr layer {stem[:80]!r} do not fit each other: {shapes}. {AGAIN}")
    if made.rank is not None and alpha is not None and not np.isfinite(alpha):
        raise ModelFileError(f"the alpha of {stem[:80]!r} is not a finite number. {AGAIN}")
    return made


def _fits(parts: Mapping[str, RawTensor]) -> bool:
    shapes = {name: part.shape for name, part in parts.items()}
    if any(0 in shape or len(shape) < 2 for shape in shapes.values()):
        return False
    if any(len(shapes[name]) != 2 for name in shapes if name not in ("w2", "t2")):
        return False
    if "w1_a" in shapes and shapes["w1_a"][1] != shapes["w1_b"][0]:
        return False
    if "t2" in shapes:
        return shapes["t2"][:2] == (shapes["w2_a"][0], shapes["w2_b"][0])
    return "w2" in shapes or shapes["w2_a"][1] == shapes["w2_b"][0]


def factorization(dimension: int, factor: int) -> tuple[int, int]:
    """How LoKr divides a layer's width: (of the small matrix, of the large one), with the given product.

    Args:
        factor: the small matrix's share where it divides the width; else the largest divisor up to it. -1 = as near to
            the square root as can be.
    """
    if factor > 0 and dimension % factor == 0:
        return factor, dimension // factor
    limit = dimension if factor < 0 else factor
    root = int(dimension**0.5) + 1
    best = max(m for m in range(1, root + 1) if dimension % m == 0 and m <= limit and m * m <= dimension)
    return best, dimension // best
