"""One LoHa update: two low-rank matrices multiplied number by number, as LyCORIS defines and stores it (arXiv
2108.06098).

Number by number, the product of two sums of outer products is the sum of all their pairs: (a_i b_i') * (c_j d_j') =
(a_i * c_j)(b_i * d_j)'. So a LoHa of rank r is a LoRA of rank r x r, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from twinloop.errors import ModelFileError
from twinloop.loras.tensors import AGAIN, Floats, RawTensor

PARTS = ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")
"""Of one update, in a file each after ``hada_``."""
_FORMS = (frozenset(PARTS[:4]), frozenset(PARTS))


@dataclass(frozen=True, eq=False)
class Hadamard:
    """(w1 * w2) x alpha / rank, number by number.

    Attributes:
        parts: of w1, and likewise of w2, ``w1_a`` (out, r) @ ``w1_b`` (r, in x kernel); or with a Tucker core ``t1``
            (r, r, kernel), ``w1_a`` (r, out) and ``w1_b`` (r, in).
        alpha: None = not given, which means alpha = rank.
    """

    parts: Mapping[str, RawTensor]
    alpha: float | None

    @property
    def rank(self) -> int:
        """Of each of the two matrices."""
        return self.parts["w1_b"].shape[0]

    @property
    def scale(self) -> float:
        """What the product is multiplied with: alpha / rank."""
        return 1.0 if self.alpha is None else self.alpha / self.rank

    @property
    def outputs(self) -> int:
        return self.parts["w1_a"].shape[1 if "t1" in self.parts else 0]

    @property
    def inputs(self) -> int:
        """Without a core, those of a convolution count its kernel."""
        return self.parts["w1_b"].shape[1]

    @property
    def kernel(self) -> tuple[int, ...]:
        """Of a convolution with a core; () where there is none, which does not tell."""
        return self.parts["t1"].shape[2:] if "t1" in self.parts else ()

    @property
    def dtypes(self) -> list[str]:
        return [part.dtype for part in self.parts.values()]

    def pair(self) -> tuple[Floats, Floats]:
        """(out, rank x rank) and (rank x rank, in x kernel), whose product is that of the two matrices without the
        scale.
        """
        (first_left, first_right), (second_left, second_right) = self._half("1"), self._half("2")
        left = first_left[:, :, None] * second_left[:, None, :]
        right = first_right[:, None, :] * second_right[None, :, :]
        count = first_left.shape[1] * second_left.shape[1]
        return left.reshape(-1, count), right.reshape(count, -1)

    def _half(self, number: str) -> tuple[Floats, Floats]:
        """One of the two matrices as (out, r) and (r, in x kernel)."""
        left, right = self.parts[f"w{number}_a"].values(), self.parts[f"w{number}_b"].values()
        if "t1" not in self.parts:
            return left, right
        core = np.einsum("ij...,jc->ic...", self.parts[f"t{number}"].values(), right)
        return left.T, np.asarray(core.reshape(len(core), -1), np.float64)


def hadamard(stem: str, parts: Mapping[str, RawTensor], alpha: float | None) -> Hadamard:
    """The update of the layer ``stem``, checked.

    Raises:
        ModelFileError: parts are missing, of whole numbers, or do not fit each other.
    """
    if frozenset(parts) not in _FORMS:
        raise ModelFileError(
            f"the LoHa layer {stem[:80]!r} has the parts {', '.join(sorted(parts))}, from which no product can be made."
            f" {AGAIN}"
        )
    if not _fits(parts) or not all(part.dtype.startswith(("F", "BF")) for part in parts.values()):
        shapes = ", ".join(f"{name} {part.shape}" for name, part in parts.items())
        raise ModelFileError(f"the parts of the LoHa layer {stem[:80]!r} do not fit each other: {shapes}. {AGAIN}")
    return Hadamard(parts, alpha)


def _fits(parts: Mapping[str, RawTensor]) -> bool:
    shapes = {name: part.shape for name, part in parts.items()}
    if any(0 in shape or len(shape) < 2 or (len(shape) > 2 and name[0] == "w") for name, shape in shapes.items()):
        return False
    if shapes["w1_a"] != shapes["w2_a"] or shapes["w1_b"] != shapes["w2_b"]:
        return False
    rank = shapes["w1_b"][0]
    if "t1" not in shapes:
        return shapes["w1_a"][1] == rank
    return shapes["w1_a"][0] == rank and shapes["t1"] == shapes["t2"] and shapes["t1"][:2] == (rank, rank)
