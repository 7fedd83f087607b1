"""Grid patches, the one kind of surface here, and what is built from them: spheres, tubes, lathes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from twinloop.nano.world.compiled import compiled

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Patch:
    """A surface as a grid of points (rows, columns, 3) with uv (rows, columns, 2) and a material number."""

    points: Array
    uv: Array
    material: int


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles ready to draw: points (n, 3), normals (n, 3), uv (n, 2), tris (m, 3), material (m,)."""

    points: Array
    normals: Array
    uv: Array
    tris: NDArray[np.int32]
    material: NDArray[np.int32]


@compiled
def grid_normals(points: Array) -> Array:
    """Unit normals (rows, columns, 3) of a grid; seams that meet are joined, the sign points off the centroid."""
    rows, cols = points.shape[0], points.shape[1]
    out = np.empty_like(points)
    cx = cy = cz = 0.0
    for i in range(rows):
        for j in range(cols):
            cx += points[i, j, 0]
            cy += points[i, j, 1]
            cz += points[i, j, 2]
    count = rows * cols
    cx, cy, cz = cx / count, cy / count, cz / count
    mid = rows // 2
    gap = 0.0
    for k in range(3):
        gap += abs(points[mid, 0, k] - points[mid, cols - 1, k])
    wrap = gap < 1e-6
    sign = 0.0
    for i in range(rows):
        i0, i1 = max(0, i - 1), min(rows - 1, i + 1)
        for j in range(cols):
            j0, j1 = j - 1, j + 1
            if j0 < 0:
                j0 = cols - 2 if wrap else 0
            if j1 >= cols:
                j1 = 1 if wrap else cols - 1
            ax = points[i, j1, 0] - points[i, j0, 0]
            ay = points[i, j1, 1] - points[i, j0, 1]
            az = points[i, j1, 2] - points[i, j0, 2]
            bx = points[i1, j, 0] - points[i0, j, 0]
            by = points[i1, j, 1] - points[i0, j, 1]
            bz = points[i1, j, 2] - points[i0, j, 2]
            nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
            size = (nx * nx + ny * ny + nz * nz) ** 0.5
            if size < 1e-9:
                # a pole: the whole row is one point, its normal is the way off the centre
                nx, ny, nz = points[i, j, 0] - cx, points[i, j, 1] - cy, points[i, j, 2] - cz
                size = (nx * nx + ny * ny + nz * nz) ** 0.5 + 1e-12
                out[i, j, 0], out[i, j, 1], out[i, j, 2] = nx / size, ny / size, nz / size
                continue
            out[i, j, 0], out[i, j, 1], out[i, j, 2] = nx / size, ny / size, nz / size
            if i <= mid:  # folded sheets have their outer side in the first half of the rows
                sign += nx * (points[i, j, 0] - cx) + ny * (points[i, j, 1] - cy) + nz * (points[i, j, 2] - cz)
    if sign < 0.0:
        for i in range(rows):
            pole = 0.0
            for k in range(3):
                pole += abs(points[i, 0, k] - points[i, cols // 2, k])
            for j in range(cols):
                if pole > 1e-6:
                    for k in range(3):
                        out[i, j, k] = -out[i, j, k]
    return out


@lru_cache(maxsize=64)
def _grid_tris(rows: int, cols: int) -> NDArray[np.int32]:
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(cols - 1), indexing="ij")
    a = (i * cols + j).ravel()
    first = np.stack([a, a + 1, a + cols], axis=1)
    second = np.stack([a + 1, a + cols + 1, a + cols], axis=1)
    return np.concatenate([first, second]).astype(np.int32)


def join(patches: list[Patch]) -> Mesh:
    """One mesh of all patches, with normals."""
    points, normals, uv, tris, material = [], [], [], [], []
    start = 0
    for patch in patches:
        rows, cols = patch.points.shape[:2]
        points.append(patch.points.reshape(-1, 3))
        normals.append(grid_normals(patch.points).reshape(-1, 3))
        uv.append(patch.uv.reshape(-1, 2))
        grid = _grid_tris(rows, cols)
        tris.append(grid + np.int32(start))
        material.append(np.full(len(grid), patch.material, np.int32))
        start += rows * cols
    return Mesh(*(np.concatenate(part) for part in (points, normals, uv, tris, material)))


@lru_cache(maxsize=32)
def _unit_sphere(rows: int, cols: int) -> tuple[Array, Array]:
    lat = np.linspace(-np.pi / 2, np.pi / 2, rows)[:, None]
    lon = np.linspace(-np.pi, np.pi, cols)[None, :]
    points = np.stack([np.sin(lon) * np.cos(lat), np.sin(lat) + 0 * lon, np.cos(lon) * np.cos(lat)], axis=2)
    uv = np.stack([lon * np.cos(lat), lat + 0 * lon], axis=2)
    points[:, -1] = points[:, 0]
    return points, uv


def ellipsoid(
    centre: tuple[float, float, float],
    radii: tuple[float, float, float],
    material: int,
    turn: Array | None = None,
    rows: int = 17,
    cols: int = 21,
) -> Patch:
    """An ellipsoid; ``turn`` (3, 3) rotates it about its centre. uv are longitude-arc and latitude."""
    unit, uv = _unit_sphere(rows, cols)
    points = unit * np.asarray(radii)
    if turn is not None:
        points = points @ turn.T
    return Patch(points + np.asarray(centre), uv, material)


def tube(path: Array, radii: Array, material: int, cols: int, closed: bool = False) -> Patch:
    """A tube along ``path`` (n, 3) with ``radii`` (n,) and round caps.

    uv: u is the angle around (radians), v the share of the length.
    """
    path = np.asarray(path, float)
    radii = np.asarray(radii, float)
    if not closed:
        path, radii = _capped(path, radii)
    step = np.gradient(path, axis=0)
    if closed:
        step[0] = step[-1] = path[1] - path[-2]
    step /= np.linalg.norm(step, axis=1, keepdims=True) + 1e-12
    depth = np.array([0.0, 0.0, 1.0])
    if abs(step[:, 2]).max() > 0.9:
        depth = np.array([1.0, 0.0, 0.0]) if abs(step[:, 0]).max() < 0.9 else np.array([0.35, 0.9, 0.26])
    side = np.cross(step, depth)
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-12
    front = np.cross(side, step)
    angle = np.linspace(-np.pi, np.pi, cols)
    ring = side[:, None] * np.sin(angle)[None, :, None] + front[:, None] * np.cos(angle)[None, :, None]
    points = path[:, None] + ring * radii[:, None, None]
    points[:, -1] = points[:, 0]
    rows = len(path)
    uv = np.stack(np.broadcast_arrays(angle[None, :], np.linspace(0.0, 1.0, rows)[:, None]), axis=2)
    return Patch(points, np.ascontiguousarray(uv), material)


def _capped(path: Array, radii: Array) -> tuple[Array, Array]:
    """Round both ends: extra rings on a half circle beyond the first and last point."""
    turns = np.radians([85.0, 60.0, 30.0])
    head_dir = path[0] - path[1]
    tail_dir = path[-1] - path[-2]
    head_dir = head_dir / np.linalg.norm(head_dir)
    tail_dir = tail_dir / np.linalg.norm(tail_dir)
    head = path[0] + head_dir * (radii[0] * np.sin(turns))[:, None]
    tail = path[-1] + tail_dir * (radii[-1] * np.sin(turns[::-1]))[:, None]
    out = np.concatenate([head, path, tail])
    return out, np.concatenate([radii[0] * np.cos(turns), radii, radii[-1] * np.cos(turns[::-1])])


def smooth_path(points: Sequence[tuple[float, float, float] | Array], count: int) -> Array:
    """(count, 3) points on a Catmull-Rom curve through ``points``."""
    knots = np.asarray(points, float)
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    t = np.linspace(0.0, len(knots) - 1 - 1e-9, count)
    k = t.astype(int)
    s = (t - k)[:, None]
    a, b, c, d = (padded[k + n] for n in range(4))
    out: Array = 0.5 * (2 * b + (c - a) * s + (2 * a - 5 * b + 4 * c - d) * s**2 + (3 * b - a - 3 * c + d) * s**3)
    return out
