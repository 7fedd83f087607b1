"""Embeddings of one person."""

from __future__ import annotations

import numpy as np

from twinloop.domain.faces import FloatArray


def person(number: int, count: int, spread: float = 0.6, seed: int = 0) -> list[FloatArray]:
    """``count`` embeddings of one person: pairwise cosine near 1 / (1 + spread^2)."""
    rng = np.random.default_rng([number, seed])
    middle = np.random.default_rng(1000 + number).normal(size=64)
    rows = middle / np.linalg.norm(middle) + spread * (lambda n: n / np.linalg.norm(n, axis=1, keepdims=True))(
        rng.normal(size=(count, 64))
    )
    return [np.asarray(row / np.linalg.norm(row), np.float32) for row in rows]
