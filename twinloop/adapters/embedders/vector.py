"""Identity vectors as everything behind the embedder expects them."""

from __future__ import annotations

import numpy as np

from twinloop.domain.faces import FloatArray


def unit(vector: FloatArray) -> FloatArray | None:
    """The vector (D,) at length 1, float32; None where it has no length or is not finite."""
    length = float(np.linalg.norm(vector))
    return np.asarray(vector / length, np.float32) if np.isfinite(length) and length > 1e-6 else None
