"""The head's surface: a sphere of directions pushed into shape, with hair shells as offsets of the same surface."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from twinloop.nano.world import face as f
from twinloop.nano.world.compiled import compiled
from twinloop.nano.world.patch import Patch

Array = NDArray[np.float64]


@compiled
def ramp(low: float, high: float, value: float) -> float:
    """Smooth step from 0 at ``low`` to 1 at ``high`` (either order)."""
    t = (value - low) / (high - low)
    t = min(1.0, max(0.0, t))
    return t * t * (3.0 - 2.0 * t)


@compiled
def bell(x: float, y: float, sx: float, sy: float) -> float:
    """Gaussian bump of height 1."""
    return math.exp(-0.5 * ((x / sx) ** 2 + (y / sy) ** 2))


@compiled
def mouth_edges(u: float, face: Array) -> tuple[float, float, float]:
    """(middle line, upper inner edge, lower inner edge) of the mouth at ``u``, as v in radians."""
    x = u / face[f.MOUTH_W]
    x2 = min(1.0, x * x)
    middle = face[f.MOUTH_V] + face[f.CURVE] * (x2 - 0.45)
    shape = math.pow(1.0 - x2, 1.0 - 0.5 * face[f.ROUND])
    return middle, middle + face[f.OPEN_UP] * shape, middle - face[f.OPEN_DN] * shape


@compiled
def _feature_push(u: float, v: float, face: Array) -> tuple[float, float]:
    """(z, y) displacement of the facial features at a place on the front of the head."""
    nose, width = face[f.NOSE], face[f.NOSE_W]
    dv = v - face[f.NOSE_V]
    fall = 0.13 if dv > 0 else 0.062
    z = 0.72 * nose * bell(u, dv, 0.10 * width, fall)
    along = ramp(0.14, face[f.NOSE_V], v) * ramp(face[f.NOSE_V] - 0.06, face[f.NOSE_V] + 0.02, v)
    z += nose * 0.5 * along * bell(u, 0.0, 0.055 + 0.02 * width, 1.0)
    z += 0.05 * width * bell(abs(u) - 0.1 * width, v - face[f.NOSE_V] + 0.025, 0.045, 0.045)
    au = abs(u)
    z -= 0.055 * bell(au - face[f.EYE_U] + 0.05, v - face[f.EYE_V] - 0.05, 0.2, 0.15)
    z += 0.03 * bell(au - face[f.EYE_U], v - face[f.EYE_V], 0.13, 0.11)
    z += 0.035 * bell(au - 0.33, v - 0.25, 0.2, 0.09)
    lift = face[f.CHEEK_UP]
    z += (0.03 + 0.035 * face[f.CHEEKS] + 0.03 * lift) * bell(au - 0.52, v + 0.38 - 0.05 * lift, 0.17, 0.15)
    _, top, bottom = mouth_edges(u, face)
    inside = ramp(1.12, 0.8, au / face[f.MOUTH_W])
    z += 0.045 * inside * bell(0.0, v - top - 0.6 * face[f.LIP_UP], 1.0, 0.038)
    z += 0.05 * inside * bell(0.0, v - bottom + 0.6 * face[f.LIP_DN], 1.0, 0.045)
    z -= 0.022 * inside * bell(0.0, v - bottom + 2.2 * face[f.LIP_DN] + 0.03, 1.0, 0.035)
    gap = min(top - v, v - bottom)
    if gap > 0.0 and au < face[f.MOUTH_W]:
        z -= 0.05 * ramp(0.0, 0.09, gap)
    chin = bell(u, v + 1.0, 0.24, 0.16)
    z += (0.095 + 0.03 * face[f.JAW]) * chin
    return z, -0.05 * chin


@compiled
def head_point(lon: float, lat: float, face: Array) -> tuple[float, float, float]:
    """Point of the skin (head units: about 1 from the centre; x right, y up, z forward) in one direction."""
    dx, dy, dz = math.sin(lon) * math.cos(lat), math.sin(lat), math.cos(lon) * math.cos(lat)
    x, y, z = dx * face[f.WIDTH], dy * face[f.HEIGHT], dz * face[f.DEPTH]
    low = max(0.0, -dy)
    front = ramp(-0.7, 0.7, dz)
    x *= 1.0 + (0.02 + 0.10 * face[f.JAW]) * bell(low - 0.66, 0.0, 0.2, 1.0) - 0.10 * ramp(0.5, 1.0, low)
    x *= 1.0 - 0.05 * ramp(0.3, 1.0, dy)
    z += (0.44 * ramp(0.12, 1.05, low) + 0.03 * low) * (front + 0.15)
    z *= 1.0 - 0.30 * ramp(0.2, 0.9, low) * (1.0 - front)
    z -= 0.05 * (1.0 - front)
    if abs(lon) < 1.7:
        u = lon * math.cos(lat)
        weight = ramp(1.7, 1.1, abs(lon))
        push, drop = _feature_push(u, lat, face)
        z += push * weight
        y += drop * weight - face[f.JAW_DROP] * ramp(-0.6, -1.0, lat) * ramp(-0.1, 0.6, dz)
        x += 0.05 * (face[f.CHEEKS] + 0.3) * bell(abs(lon) - 0.95, lat + 0.42, 0.3, 0.2) * (1.0 if lon > 0 else -1.0)
    return x, y, z


@compiled
def head_grid(lons: Array, lats: Array, offset: Array, face: Array) -> Array:
    """(rows, columns, 3) points over ``lats`` x ``lons``, moved outwards by ``offset`` (rows, columns)."""
    out = np.empty((lats.size, lons.size, 3))
    for i in range(lats.size):
        for j in range(lons.size):
            x, y, z = head_point(lons[j], lats[i], face)
            push = offset[i, j]
            if push != 0.0:
                cy = y - 0.1
                scale = 1.0 + push / math.sqrt(x * x + cy * cy + z * z)
                x, y, z = x * scale, 0.1 + cy * scale, z * scale
            out[i, j, 0], out[i, j, 1], out[i, j, 2] = x, y, z
    return out


_ROUND, _UP = np.linspace(-1.0, 1.0, 109), np.linspace(-1.0, 1.0, 97)
LONS: Array = np.pi * (0.55 * _ROUND + 0.45 * _ROUND**3)
"""Longitudes over the full circle, denser in front; first and last are the back seam."""
LATS: Array = np.pi / 2 * (0.8 * _UP + 0.2 * _UP**3)
"""Latitudes from pole to pole, denser over the face."""
_ZERO = np.zeros((LATS.size, LONS.size))
_FACE_UV = np.stack([LONS[None, :] * np.cos(LATS)[:, None], np.repeat(LATS[:, None], LONS.size, 1)], axis=2)


def head_patch(face: Array, material: int) -> Patch:
    """The skin of the head; its uv are the face coordinates that the painting uses."""
    return Patch(head_grid(LONS, LATS, _ZERO, face), _FACE_UV, material)


def face_points(face: Array) -> Array:
    """(5, 3) landmark points in head units: eye, eye, nose tip, mouth corner, mouth corner (image left first)."""
    corner = mouth_edges(face[f.MOUTH_W], face)[0]
    places = (
        (-face[f.EYE_U], face[f.EYE_V]),
        (face[f.EYE_U], face[f.EYE_V]),
        (0.0, face[f.NOSE_V]),
        (-face[f.MOUTH_W] * 0.95, corner),
        (face[f.MOUTH_W] * 0.95, corner),
    )
    return np.array([head_point(u / math.cos(v), v, face) for u, v in places])


def outline_points(face: Array) -> Array:
    """(n, 3) points of the face proper (chin to hairline, ear to ear) for the face box."""
    points = [
        head_point(float(lon), float(lat), face)
        for lat in np.linspace(-1.35, 0.62, 12)
        for lon in np.linspace(-1.35, 1.35, 13)
    ]
    return np.array(points)
