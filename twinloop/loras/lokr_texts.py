"""What PEFT wants to know of a LoKr before it reads the matrices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from twinloop.loras.kronecker import Kronecker, factorization
from twinloop.loras.patterns import keyed


def lokr_settings(layers: Mapping[str, Kronecker]) -> dict[str, Any]:
    """Arguments of PEFT's ``LoKrConfig`` for these layers of one model, by path; alpha = rank where both matrices are
    whole.

    PEFT makes its matrices by its own rules, so the rank of whole matrices is one that makes it leave them whole.
    """
    ranks = {path: layer.rank or max(layer.large) for path, layer in layers.items()}
    alphas = {
        path: float(ranks[path] if layer.rank is None or layer.alpha is None else layer.alpha)
        for path, layer in layers.items()
    }
    rank, alpha = (Counter(values).most_common(1)[0][0] for values in (ranks.values(), alphas.values()))
    return {
        "r": rank, "alpha": alpha, "target_modules": sorted(layers),
        "decompose_both": any("w1_a" in layer.parts for layer in layers.values()),
        "decompose_factor": factor_of(layers.values()),
        "use_effective_conv2d": any("t2" in layer.parts for layer in layers.values()),
        "rank_pattern": keyed(ranks, rank), "alpha_pattern": keyed(alphas, alpha),
    }  # fmt: skip


def factor_of(layers: Collection[Kronecker]) -> int:
    """The factor from which PEFT divides all these layers' widths as they are divided; -1 = automatic, or no factor
    does.
    """
    sides = sorted({layer.small[0] for layer in layers})
    return next((factor for factor in (-1, *sides) if all(_divided(layer, factor) for layer in layers)), -1)


def _divided(layer: Kronecker, factor: int) -> bool:
    (a, c), (b, d) = layer.small, layer.large
    return factorization(a * b, factor) == (a, b) and factorization(c * d, factor) == (c, d)
