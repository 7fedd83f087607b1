"""LoKr files made on the spot, and the product that they stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from tests.unit.loras.makers import PATHS, matrix
from twinloop.loras.adapter import Adapter, Place
from twinloop.loras.components import DENOISER
from twinloop.loras.container import file_bytes
from twinloop.loras.kronecker import Kronecker, factorization
from twinloop.loras.lora import Dialect, LoraFile, read_lora
from twinloop.loras.write import effective_dialect, written

WIDTHS = st.integers(1, 4096)


FACTORS = st.one_of(st.just(-1), st.integers(2, 64))


def product(
    out: int, into: int, factor: int, rank: int | None, alpha: float | None, dtype: str = "F32", seed: int = 0
) -> Kronecker:
    """A random LoKr of a linear layer; ``rank`` None = whole matrices."""
    draw = np.random.default_rng(seed)
    (a, b), (c, d) = factorization(out, factor), factorization(into, factor)
    large = (
        {"w2": matrix(b, d, dtype, draw)}
        if rank is None
        else {"w2_a": matrix(b, rank, dtype, draw), "w2_b": matrix(rank, d, dtype, draw)}
    )
    return Kronecker({"w1": matrix(a, c, dtype, draw), **large}, alpha)


def lokr(
    family: str, factor: int = -1, rank: int | None = None, alpha: float | None = 3.0, dtype: str = "F16"
) -> Adapter:
    """A LoKr over some linear layers of a family."""
    places = [
        (path, out, into)
        for path, out, into in PATHS[family]
        if "conv" not in path and "embed" not in path and "norm" not in path
    ]
    return Adapter(
        family,
        {
            Place(DENOISER, path): product(out, into, factor, rank, alpha, dtype, n)
            for n, (path, out, into) in enumerate(places)
        },
    )


def saved(path: Path, made: Adapter, dialect: Dialect, texts: dict[str, str] | None = None) -> LoraFile:
    path.write_bytes(
        file_bytes(
            *written(made, effective_dialect(made, dialect), {"modelspec.architecture": made.family, **(texts or {})})
        )
    )
    return read_lora(path)
