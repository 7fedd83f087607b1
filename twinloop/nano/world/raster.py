"""Depth-buffered triangles: which triangle is seen at each pixel, and where in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twinloop.nano.world.compiled import compiled

Array = NDArray[np.float64]


@compiled
def rasterise(
    screen: Array, tris: NDArray[np.int32], size: int
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]:
    """Draw triangles of ``screen`` (n, 3): x, y in pixels and z towards the viewer.

    Returns:
        depth (size, size) with -1e9 where nothing is, triangle index (size, size) or -1, and the weights of
        the triangle's first two corners (size, size, 2).
    """
    depth = np.full((size, size), -1e9, np.float32)
    index = np.full((size, size), -1, np.int32)
    weight = np.zeros((size, size, 2), np.float32)
    for t in range(tris.shape[0]):
        a, b, c = tris[t, 0], tris[t, 1], tris[t, 2]
        x0, y0, z0 = screen[a, 0], screen[a, 1], screen[a, 2]
        x1, y1, z1 = screen[b, 0], screen[b, 1], screen[b, 2]
        x2, y2, z2 = screen[c, 0], screen[c, 1], screen[c, 2]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        left = max(0, int(np.ceil(min(x0, x1, x2) - 0.5)))
        right = min(size - 1, int(np.floor(max(x0, x1, x2) - 0.5)))
        top = max(0, int(np.ceil(min(y0, y1, y2) - 0.5)))
        bottom = min(size - 1, int(np.floor(max(y0, y1, y2) - 0.5)))
        if left > right or top > bottom:
            continue
        inv = 1.0 / area
        for py in range(top, bottom + 1):
            fy = py + 0.5
            for px in range(left, right + 1):
                fx = px + 0.5
                w0 = ((x1 - fx) * (y2 - fy) - (x2 - fx) * (y1 - fy)) * inv
                w1 = ((x2 - fx) * (y0 - fy) - (x0 - fx) * (y2 - fy)) * inv
                w2 = 1.0 - w0 - w1
                if w0 < -1e-6 or w1 < -1e-6 or w2 < -1e-6:
                    continue
                z = w0 * z0 + w1 * z1 + w2 * z2
                if z > depth[py, px]:
                    depth[py, px] = z
                    index[py, px] = t
                    weight[py, px, 0] = w0
                    weight[py, px, 1] = w1
    return depth, index, weight
