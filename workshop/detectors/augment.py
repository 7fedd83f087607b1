"""What cameras, files and the base model do to a picture without changing what it shows."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def photographed(image: Pixels, rng: np.random.Generator, strength: float = 1.0) -> Pixels:
    """Slight changes of colour, softness, grain and compression.

    The brightness changes by a few per cent only, because it tells the lighting.
    """
    out: NDArray[np.float32] = image.astype(np.float32)
    if rng.random() < 0.6:
        out = out * (1 + rng.normal(0, 0.035, 3)).astype(np.float32) + float(rng.normal(0, 4))
    if rng.random() < 0.2:
        out += _clouds(rng, image.shape[0], float(rng.uniform(2, 8)))
    if rng.random() < 0.35 * strength:
        out = np.asarray(cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.3, 1.3) * strength)), np.float32)
    if rng.random() < 0.35:
        out += rng.normal(0, rng.uniform(1, 7), out.shape).astype(np.float32)
    pixels = np.clip(out, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        pixels = _compressed(pixels, int(rng.integers(35, 92)))
    return pixels


def _clouds(rng: np.random.Generator, size: int, spread: float) -> NDArray[np.float32]:
    cells = rng.normal(0, spread, (int(rng.integers(4, 16)),) * 2 + (3,)).astype(np.float32)
    return np.asarray(cv2.resize(cells, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)


def _compressed(image: Pixels, quality: int) -> Pixels:
    _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.ascontiguousarray(decoded[:, :, ::-1], dtype=np.uint8)
