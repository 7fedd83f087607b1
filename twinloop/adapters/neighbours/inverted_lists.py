"""faiss inverted lists (Johnson et al.

2017, arXiv 1702.08734): each vector is compared with those in the lists nearest to it.
"""

from __future__ import annotations

import math

import faiss
import numpy as np
import numpy.typing as npt

from twinloop.domain.faces import FloatArray

LISTS_PER_ROOT = 2
"""Lists for n vectors: so many times the square root of n."""
PROBED = 16
"""Lists that each vector is compared with."""
_TRAINED_ON = 64
"""Vectors per list from which the lists' centres are learned."""
_AT_ONCE = 8192


class InvertedLists:
    """The port `NeighbourSearch`.

    Centres are learned from a fixed choice of the vectors, so the same vectors give the same neighbours.
    """

    def nearest(self, rows: FloatArray, count: int) -> tuple[npt.NDArray[np.int64], FloatArray]:
        vectors = np.ascontiguousarray(rows, np.float32)
        lists = max(1, min(len(vectors), round(LISTS_PER_ROOT * math.sqrt(len(vectors)))))
        centres = faiss.IndexFlatIP(vectors.shape[1])
        index = faiss.IndexIVFFlat(centres, vectors.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed, index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = 1, _TRAINED_ON, 1
        index.train(vectors)
        index.add(vectors)
        index.nprobe = PROBED
        found, scores = np.empty((len(vectors), count), np.int64), np.empty((len(vectors), count), np.float32)
        for start in range(0, len(vectors), _AT_ONCE):
            scores[start : start + _AT_ONCE], found[start : start + _AT_ONCE] = index.search(
                vectors[start : start + _AT_ONCE], count
            )
        return found, scores
