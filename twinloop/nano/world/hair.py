"""Hair and beards: thick shells over the head, curtains that hang, and single balls or tails. Head coordinates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twinloop.nano.world import face as f
from twinloop.nano.world import material as m
from twinloop.nano.world.head import LATS, LONS, head_grid, head_point
from twinloop.nano.world.params import Identity
from twinloop.nano.world.patch import Patch, ellipsoid, smooth_path, tube

Array = NDArray[np.float64]

_LON, _LAT = np.meshgrid(LONS, LATS)
_UV = np.stack([_LON * 1.0, _LAT], axis=2)
_CAP = 0.15  # thickness of hair that hangs
_DEEP = -0.2  # where a shell is not to be seen it lies this far inside, also behind an open mouth
_KNOTS = (0, 25, 45, 60, 72, 84, 96, 112, 140, 180)
# latitude of the hairline in degrees at each longitude of _KNOTS (0 = forehead, 96 = ear, 180 = nape)
_LINES = {
    "classic": (43, 42, 38, 30, 14, -6, 4, -22, -42, -50),
    "tight": (44, 43, 40, 33, 22, 12, 12, -8, -34, -42),
    "receding": (54, 44, 46, 38, 22, 0, 4, -20, -42, -50),
}


def _smooth(low: float, high: float, value: Array) -> Array:
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _shell(
    face: Array,
    line: str,
    thickness: Array | float,
    edge: float = 14.0,
    fringe: Array | float = 0.0,
    kind: int = m.HAIR,
) -> Patch:
    """A cap of hair above a hairline; ``fringe`` (degrees) raises or lowers the line over the front."""
    limit = np.interp(np.degrees(np.abs(_LON)), _KNOTS, _LINES[line]) + fringe
    above = np.degrees(_LAT) - limit
    # a straight rise through the skin keeps the visible hairline smooth between grid points
    rise = np.sin(np.pi / 2 * np.clip((above + 5.0) / (edge + 5.0), 0.0, 1.0))
    offset = -0.05 + (np.asarray(thickness) + 0.05) * rise
    offset -= 0.15 * _smooth(-8.0, -30.0, above)  # well inside the head, also behind an open mouth
    return Patch(head_grid(LONS, LATS, offset, face), _UV, kind)


def _parting(side: float, low: float, high: float) -> Array:
    """Swept fringe: the hairline is high at the parting and falls towards the other side."""
    lon = np.degrees(_LON) * side
    sweep = _smooth(-30.0, 55.0, lon)
    part = np.exp(-0.5 * ((lon + 22.0) / 9.0) ** 2)
    front = _smooth(80.0, 50.0, np.abs(lon))
    out: Array = (high * part - low * sweep) * front
    return out


def _locks(count: float, depth: float, phase: float) -> Array:
    """A toothed hairline over the forehead."""
    saw = np.abs(np.sin(_LON * count + phase))
    out: Array = depth * (saw - 0.5) * _smooth(75.0, 45.0, np.degrees(np.abs(_LON)))
    return out


def _curtain(face: Array, bottom: float, start: float, flare: float, curl: float, thick: float) -> Patch:
    """Hair that hangs from the crown around sides and back down to ``bottom``, open over the face.

    ``start`` is the longitude (degrees) of its front edges, ``flare`` widens it downwards, ``curl`` turns it in.
    """
    angles = np.radians(np.linspace(start, 360.0 - start, 49))
    rows = 22
    t = np.linspace(0.0, 1.0, rows)
    y_top = 0.95
    taper = np.sqrt(np.clip(np.sin((angles - angles[0]) / (angles[-1] - angles[0]) * np.pi) * 2.2, 0.0, 1.0))
    outer, inner = [], []
    for share in t:
        y = y_top + (bottom - y_top) * share
        # above the ears it runs just under the cap, whose thickness it shares, so that no seam shows
        round_top = np.sqrt(1.0 - (max(0.0, y) / (face[f.HEIGHT] + _CAP)) ** 2)
        hang = min(1.0, max(0.0, 0.45 - y) / 1.1)
        hang = hang * hang * (3.0 - 2.0 * hang)
        swell = (0.02 + flare) * hang - curl * max(0.0, share - 0.72) ** 2 * 6.0
        wide = (face[f.WIDTH] + _CAP - 0.015) * round_top + swell
        deep = (face[f.DEPTH] + _CAP - 0.015) * round_top - 0.08 * share
        # the front edge swings forward at the cheek and back below: a soft line instead of a straight cut
        lean = angles + np.radians(9.0) * np.sin(2.6 * share) * np.sign(angles - np.pi) * np.abs(angles / np.pi - 1.0)
        x, z = np.sin(lean) * wide, np.cos(lean) * deep - 0.05
        outer.append(np.stack([x, np.full_like(x, y), z], axis=1))
        body = thick * taper * (0.35 + 0.65 * np.sqrt(max(0.0, 1.0 - share**6)))
        shrink = 1.0 - body / np.maximum(np.hypot(x, z), 0.2)
        inner.append(np.stack([x * shrink, np.full_like(x, y + 0.02), z * shrink], axis=1))
    points = np.array(outer + inner[::-1])
    uv = np.stack(np.broadcast_arrays(angles[None, :], np.linspace(0, 1, 2 * rows)[:, None]), axis=2)
    return Patch(points, np.ascontiguousarray(uv), m.HAIR)


def _curls(face: Array, rng: np.random.Generator, low: float) -> list[Patch]:
    """Balls of curls spread over the scalp, lower at the back and sides."""
    count = 84
    index = np.arange(count) + 0.5
    lat = np.arcsin(1.0 - 1.62 * index / count)
    lon = (index * 2.399963) % (2 * np.pi) - np.pi
    line = np.interp(np.degrees(np.abs(lon)), _KNOTS, _LINES["classic"]) + low
    out = []
    for a, b, limit in zip(lon, lat, line, strict=True):
        if np.degrees(b) < limit + 4.0:
            continue
        place = np.array(head_point(float(a), float(b), face))
        size = 0.205 + 0.05 * float(rng.random())
        place = place * (1.0 + 0.09 / np.linalg.norm(place)) + rng.normal(0.0, 0.012, 3)
        out.append(ellipsoid((place[0], place[1], place[2]), (size, size, size), m.HAIR, rows=11, cols=13))
    return out


def _mohawk(face: Array) -> list[Patch]:
    spine = []
    for degrees in np.linspace(42.0, 208.0, 17):
        lat, lon = (degrees, 0.0) if degrees <= 90 else (180.0 - degrees, np.pi)
        spine.append(head_point(float(lon), float(np.radians(lat)), face))
    base = np.array(spine)
    out_dir = base / np.linalg.norm(base, axis=1, keepdims=True)
    bulge = np.sin(np.linspace(0.12, 1.0, 17) * np.pi * 0.93) ** 0.7
    ring = np.linspace(-np.pi, np.pi, 15)
    rows = []
    for point, way, high in zip(base, out_dir, bulge, strict=True):
        lift = -0.06 + 0.30 * high * (1.0 + np.cos(ring))
        wide = (0.19 * np.sin(ring)) * (0.55 + 0.45 * high)
        rows.append(point + way * lift[:, None] + np.stack([wide, 0 * wide, 0 * wide], axis=1))
    points = np.array(rows)
    points[:, -1] = points[:, 0]
    points[0] = points[0].mean(axis=0)
    points[-1] = points[-1].mean(axis=0)
    uv = np.stack(np.broadcast_arrays(np.linspace(0, 3.0, 17)[:, None] * 1.6, ring[None, :]), axis=2)
    return [Patch(points, np.ascontiguousarray(uv), m.HAIR)]


def hair_patches(identity: Identity, face: Array) -> list[Patch]:
    """The hair of a person in head coordinates; empty for bald heads."""
    rng = np.random.default_rng(identity.seed + 3)
    side = 1.0 if rng.random() < 0.5 else -1.0
    phase = float(rng.uniform(0.0, 3.0))
    woman = identity.person == "woman"
    top = _smooth(0.1, 1.0, np.sin(_LAT))
    style = identity.hair_style
    if style == "bald":
        return []
    if style == "buzz":
        return [_shell(face, "tight", 0.016, edge=8.0, kind=m.BUZZ)]
    if style == "short":
        quiff = np.exp(-0.5 * ((np.degrees(_LAT) - 62.0) / 20.0) ** 2) * np.exp(-0.5 * (_LON / 0.9) ** 2)
        thick = 0.075 + 0.10 * top + (0.17 + 0.05 * phase / 3) * quiff * (1.0 + 0.25 * side * np.sin(_LON))
        return [_shell(face, "classic", thick, fringe=_locks(5.0, 7.0, phase) - 2.0)]
    if style == "curly":
        low = -16.0 if woman else 0.0
        return [_shell(face, "classic", 0.10 + 0.05 * top, fringe=2.0), *_curls(face, rng, low)]
    if style == "mohawk":
        return [_shell(face, "tight", 0.014, edge=7.0, kind=m.BUZZ), *_mohawk(face)]
    fringe = _woman_fringe(rng, side, phase)
    if style == "bob":
        drop = float(rng.uniform(-1.02, -0.75))
        return [
            _shell(face, "classic", _CAP + 0.02 * top, fringe=fringe),
            _curtain(face, drop, 62.0, 0.20, 0.34, 0.26),
        ]
    if style == "long":
        drop = float(rng.uniform(-2.5, -1.9))
        return [
            _shell(face, "classic", _CAP + 0.02 * top, fringe=fringe),
            _curtain(face, drop, 60.0, 0.26, 0.12, 0.30),
        ]
    cap = _shell(face, "classic", 0.06 + 0.05 * top, fringe=np.maximum(fringe, -10.0))
    if style == "bun":
        return [cap, ellipsoid((0.0, 1.16, -0.42), (0.36, 0.33, 0.36), m.HAIR, rows=19, cols=25)]
    path = smooth_path(
        [
            (0.0, 0.72, -0.72),
            (0.16 * side, 0.98, -1.12),
            (0.62 * side, 0.42, -1.24),
            (0.84 * side, -0.55, -1.0),
            (0.74 * side, -1.35, -0.82),
        ],
        20,
    )
    swell = np.interp(np.linspace(0, 1, 20), (0, 0.12, 0.35, 0.75, 1), (0.13, 0.17, 0.29, 0.24, 0.06))
    return [cap, tube(path, swell, m.HAIR, cols=17)]


def _woman_fringe(rng: np.random.Generator, side: float, phase: float) -> Array | float:
    kind = int(rng.integers(3))
    if kind == 0:
        return _parting(side, 12.0, 9.0)
    if kind == 1:
        return -12.0 * _smooth(72.0, 40.0, np.degrees(np.abs(_LON))) + _locks(6.5, 4.0, phase)
    return _parting(side, 4.0, 10.0)


def beard_patches(identity: Identity, face: Array) -> list[Patch]:
    """A full beard or a moustache as thick shells around the mouth; empty for the others."""
    if identity.beard not in ("beard", "moustache"):
        return []
    u, v = _LON * np.cos(_LAT), _LAT
    dv = v - face[f.MOUTH_V]
    tip = face[f.CURVE] * 0.55 + 0.02
    across = face[f.MOUTH_W] * 1.12
    arc = dv - 0.125 - face[f.OPEN_UP] + (0.10 - tip * 0.6) * (u / across) ** 2
    moustache = _smooth(1.0, 0.45, np.abs(arc) / 0.062) * _smooth(1.12, 0.85, np.abs(u) / across)
    if identity.beard == "moustache":
        offset = _DEEP + (0.085 - _DEEP) * moustache**0.4
        return [Patch(head_grid(LONS, LATS, offset, face), _UV * 1.0, m.FUR)]
    lon = np.degrees(np.abs(_LON))
    line = np.interp(lon, (0, 18, 36, 54, 70, 84, 96), (-45, -44, -43, -38, -26, -4, 26))
    below = _smooth(-2.0, 9.0, line - np.degrees(_LAT)) * _smooth(100.0, 84.0, lon)
    half = 0.5 * (face[f.OPEN_UP] + face[f.OPEN_DN] + face[f.LIP_UP] + face[f.LIP_DN])
    centre = face[f.MOUTH_V] + 0.5 * (face[f.OPEN_UP] - face[f.OPEN_DN]) - 0.3 * face[f.CURVE]
    hole = _smooth(1.0, 1.25, np.hypot(u / (face[f.MOUTH_W] * 1.04), (v - centre) / (half + 0.055)))
    chin = np.exp(-0.5 * ((v + 1.05) / 0.3) ** 2) * np.exp(-0.5 * (u / 0.45) ** 2)
    cover = np.maximum(below * hole, moustache)
    offset = _DEEP + (0.075 - _DEEP + 0.08 * chin * below * hole) * cover**0.4
    return [Patch(head_grid(LONS, LATS, offset, face), _UV * 1.0, m.FUR)]
