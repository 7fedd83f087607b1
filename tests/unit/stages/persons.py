"""Embeddings of one person, and photos of several."""

from __future__ import annotations

import numpy as np

from tests.unit.things import face, observation, photo
from twinloop.domain.faces import FloatArray
from twinloop.stages.selection_rules import Photo


def person(number: int, count: int, spread: float = 0.6, seed: int = 0) -> list[FloatArray]:
    """``count`` embeddings of one person: pairwise cosine near 1 / (1 + spread^2)."""
    rng = np.random.default_rng([number, seed])
    middle = np.random.default_rng(1000 + number).normal(size=64)
    rows = middle / np.linalg.norm(middle) + spread * (lambda n: n / np.linalg.norm(n, axis=1, keepdims=True))(
        rng.normal(size=(count, 64))
    )
    return [np.asarray(row / np.linalg.norm(row), np.float32) for row in rows]


def people(*counts: int) -> list[Photo]:
    """So many photos of each of several people, a face on each."""
    return [
        photo(f"p{number}_{index}.jpg", observation((number, index), faces=[face(embedding=vector)]))
        for number, count in enumerate(counts)
        for index, vector in enumerate(person(number, count))
    ]
