"""What is painted on the face: eyes, brows, lips, marks, as colour over face coordinates (see ``face``)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from twinloop.nano.world import face as f
from twinloop.nano.world import material as m
from twinloop.nano.world.compiled import compiled
from twinloop.nano.world.head import bell, mouth_edges, ramp

Array = NDArray[np.float64]


@compiled
def _mix(rgb: Array, r: float, g: float, b: float, alpha: float) -> None:
    rgb[0] += (r - rgb[0]) * alpha
    rgb[1] += (g - rgb[1]) * alpha
    rgb[2] += (b - rgb[2]) * alpha


@compiled
def _paint_skin(u: float, v: float, face: Array, colors: Array, rgb: Array) -> None:
    """Blush, lids, nostrils, freckles, mole, scar, stubble and folds."""
    au = abs(u)
    lip, deep, brow = colors[m.C_LIP], colors[m.C_DEEP], colors[m.C_BROW]
    blush = 0.34 * bell(au - 0.53, v + 0.36, 0.15, 0.11) + 0.16 * bell(u, v - face[f.NOSE_V], 0.09, 0.07)
    _mix(rgb, lip[0], lip[1], lip[2], blush * (0.55 + 0.5 * face[f.WOMAN]))
    lid = bell(au - face[f.EYE_U], v - face[f.EYE_V] - 0.11, 0.17, 0.085)
    _mix(rgb, deep[0], deep[1], deep[2], (0.22 + 0.2 * face[f.WOMAN]) * lid)
    if face[f.FRECKLES] > 0.0:
        _paint_freckles(u, v, deep, rgb)
    if face[f.MOLE] > 0.0:
        _mix(rgb, 0.03, 0.012, 0.01, ramp(0.040, 0.028, math.hypot(u - 0.30, v + 0.50)))
    if face[f.SCAR] > 0.0:
        along = (u + 0.56) * 0.35 + (v + 0.30) * 0.94
        across = (u + 0.56) * 0.94 - (v + 0.30) * 0.35
        mark = ramp(0.022, 0.008, abs(across)) * ramp(0.20, 0.16, abs(along))
        _mix(rgb, 0.75, 0.36, 0.32, 0.75 * mark)
    if face[f.STUBBLE] > 0.0:
        hair = ramp(-0.28, -0.52, v - 0.12 * ramp(0.5, 1.1, au)) * ramp(1.55, 1.3, au)
        hair *= 1.0 - bell(u, v - face[f.MOUTH_V] + 0.02, 0.16, 0.05)
        _mix(rgb, brow[0], brow[1], brow[2], 0.42 * hair * face[f.STUBBLE])
    fold_v = v + 0.50 - 0.04 * face[f.CHEEK_UP]
    fold = ramp(0.03, 0.0, abs(au - 0.22 + fold_v * 0.75 + fold_v * fold_v)) * ramp(0.17, 0.1, abs(fold_v))
    _mix(rgb, deep[0], deep[1], deep[2], fold * (0.22 + 0.36 * max(0.0, face[f.CHEEK_UP])))
    if face[f.FURROW] > 0.0:
        line = ramp(0.018, 0.006, abs(au - 0.055)) * ramp(0.09, 0.05, abs(v - 0.19))
        _mix(rgb, deep[0], deep[1], deep[2], 0.8 * line * face[f.FURROW])
    hole = ramp(1.0, 0.6, math.hypot((au - 0.075 * face[f.NOSE_W]) / 0.036, (v - face[f.NOSE_V] + 0.075) / 0.022))
    _mix(rgb, deep[0] * 0.12, deep[1] * 0.1, deep[2] * 0.1, 0.8 * hole)


@compiled
def _paint_freckles(u: float, v: float, deep: Array, rgb: Array) -> None:
    zone = bell(abs(u) - 0.36, v + 0.30, 0.17, 0.07) + 0.9 * bell(u, v + 0.24, 0.12, 0.06)
    if zone < 0.1:
        return
    cell = 0.072
    i, j = math.floor(u / cell), math.floor(v / cell)
    h1 = (math.sin(i * 127.1 + j * 311.7) * 43758.5453) % 1.0
    h2 = (math.sin(i * 269.5 + j * 183.3) * 43758.5453) % 1.0
    cu, cv = (i + 0.3 + 0.4 * h1) * cell, (j + 0.3 + 0.4 * h2) * cell
    dot = ramp(0.021, 0.012, math.hypot(u - cu, v - cv)) * min(1.0, 1.3 * zone)
    _mix(rgb, deep[0] * 0.6, deep[1] * 0.45, deep[2] * 0.4, 0.75 * dot)


@compiled
def _paint_eye(u: float, v: float, face: Array, colors: Array, soft: float, rgb: Array) -> float:
    """Eyeball, iris, lids and lashes; returns how much of this place is wet eyeball (0..1)."""
    hw, hh = face[f.EYE_HW], face[f.EYE_HH]
    x = abs(u) - face[f.EYE_U]
    if x < -1.3 * hw or x > 1.6 * hw:
        return 0.0
    y = v - face[f.EYE_V] - face[f.EYE_TILT] * x
    if y < -1.5 * hh or y > 2.0 * hh:
        return 0.0
    xn = x / hw
    shape = math.pow(max(0.0, 1.0 - xn * xn), 0.62)
    up = hh * face[f.LID_UP] * shape
    low = -0.86 * hh * face[f.LID_LOW] * shape
    if face[f.CLOSED] > 0.5:
        up = low = -0.45 * hh * shape
    dark = colors[m.C_DEEP]
    crease = ramp(0.11 * hh + soft, 0.0, abs(y - up - 0.34 * hh * (0.4 + shape))) * ramp(1.15, 0.8, abs(xn))
    _mix(rgb, dark[0] * 0.6, dark[1] * 0.55, dark[2] * 0.55, 0.5 * crease)
    wet = 0.0
    if up > low:
        wet = ramp(-soft, soft, min(up - y, y - low)) * (1.0 if abs(xn) < 1.0 else 0.0)
        if wet > 0.0:
            _paint_ball(u, y, up, face, colors, soft, wet, rgb)
    thick = hh * (0.085 + 0.05 * face[f.WOMAN]) * (0.85 + 0.5 * xn)
    end = 1.05 + 0.16 * face[f.WOMAN]
    tail = max(0.0, xn - 0.93) * hw * 0.75 * face[f.WOMAN]
    lash = (
        ramp(thick + soft, thick - soft, abs(y - up - 0.4 * thick - tail))
        * ramp(end, end - 0.12, xn)
        * ramp(-1.06, -0.96, xn)
    )
    _mix(rgb, 0.012, 0.008, 0.008, 0.96 * lash)
    if up > low:
        under = ramp(0.035 * hh + soft, 0.0, abs(y - low)) * ramp(1.02, 0.85, abs(xn))
        _mix(rgb, 0.05, 0.025, 0.022, 0.6 * under)
    return wet


@compiled
def _paint_ball(u: float, y: float, up: float, face: Array, colors: Array, soft: float, wet: float, rgb: Array) -> None:
    hh = face[f.EYE_HH]
    side = 1.0 if u > 0 else -1.0
    white, iris = colors[m.C_SCLERA], colors[m.C_IRIS]
    shade = 1.0 - 0.5 * ramp(0.42 * hh, 0.0, up - y)
    _mix(rgb, white[0] * shade, white[1] * shade, white[2] * shade, wet)
    radius = 0.80 * hh
    ix = u - side * (face[f.EYE_U] - 0.012) - face[f.GAZE_U]
    iy = y - face[f.GAZE_V] - 0.02 * hh
    r = math.hypot(ix, iy) / radius
    edge = soft / radius
    disc = ramp(1.0 + edge, 1.0 - edge, r) * wet
    if disc <= 0.0:
        return
    glow = (0.55 + 1.15 * ramp(0.5, -0.9, iy / radius)) * (1.0 - 0.72 * ramp(0.74, 0.98, r)) * (0.6 + 0.4 * shade)
    _mix(rgb, iris[0] * glow, iris[1] * glow, iris[2] * glow, disc)
    _mix(rgb, 0.004, 0.003, 0.004, disc * ramp(0.47 + edge, 0.47 - edge, r))
    spark = math.hypot(ix + 0.34 * radius, iy - 0.36 * radius) / radius
    _mix(rgb, 1.0, 1.0, 1.0, 0.97 * wet * ramp(0.27 + edge, 0.27 - edge, spark))
    spark = math.hypot(ix - 0.33 * radius, iy + 0.42 * radius) / radius
    _mix(rgb, 1.0, 1.0, 1.0, 0.5 * wet * ramp(0.14 + edge, 0.14 - edge, spark))


@compiled
def _paint_brow(u: float, v: float, face: Array, colors: Array, soft: float, rgb: Array) -> None:
    start = face[f.EYE_U] - 0.25
    t = (abs(u) - start) / 0.49
    if t < -0.08 or t > 1.05:
        return
    line = face[f.BROW_V] + face[f.BROW_SLOPE] * (t - 0.4) * 1.3 + face[f.BROW_ARCH] * (1.0 - (1.9 * t - 1.15) ** 2)
    thick = face[f.BROW_T] * (1.0 - 0.72 * max(0.0, t) ** 2) * ramp(-0.08, 0.10, t)
    cover = ramp(thick + soft, thick - soft, abs(v - line)) * ramp(1.05, 0.9, t)
    brow = colors[m.C_BROW]
    _mix(rgb, brow[0], brow[1], brow[2], 0.95 * cover)


@compiled
def _paint_mouth(u: float, v: float, face: Array, colors: Array, soft: float, rgb: Array) -> tuple[float, float]:
    """Lips, teeth and tongue; returns (how much this place is inside the mouth, how glossy it is)."""
    x = u / face[f.MOUTH_W]
    if abs(x) > 1.15 or abs(v - face[f.MOUTH_V]) > 0.5:
        return 0.0, 0.0
    middle, top, bottom = mouth_edges(u, face)
    lip, deep = colors[m.C_LIP], colors[m.C_DEEP]
    side = max(0.0, 1.0 - x * x)
    upper = top + face[f.LIP_UP] * math.sqrt(side) * (1.0 - 0.28 * bell(x, 0.0, 0.13, 1.0)) * 1.15
    lower = bottom - face[f.LIP_DN] * math.pow(side, 0.6)
    shadow = bell(x, (v - lower + 0.045) / 0.03, 0.5, 1.0)
    _mix(rgb, deep[0], deep[1], deep[2], 0.35 * shadow)
    cover = ramp(-soft, soft * 1.5, min(upper - v, v - lower)) * ramp(1.02, 0.94, abs(x))
    strength = 0.62 + 0.3 * face[f.WOMAN]
    dim = 0.72 if v > 0.5 * (top + bottom) else 1.0
    _mix(rgb, lip[0] * dim, lip[1] * dim, lip[2] * dim, strength * cover)
    gap = top - bottom
    line = ramp(0.016 + soft, 0.004, abs(v - middle)) * ramp(1.1, 0.98, abs(x))
    if gap < 0.02:
        _mix(rgb, deep[0] * 0.16, deep[1] * 0.11, deep[2] * 0.11, 0.92 * line)
        return 0.0, 0.5 * cover
    inside = ramp(-soft, soft, min(top - v, v - bottom)) * (1.0 if abs(x) < 1.0 else 0.0)
    corner = line * ramp(0.9, 1.0, abs(x))
    _mix(rgb, deep[0] * 0.16, deep[1] * 0.11, deep[2] * 0.11, 0.9 * corner)
    _mix(rgb, 0.055, 0.008, 0.012, inside)
    if face[f.TEETH] > 0.0:
        reach = min(0.098, 0.86 * gap)
        tooth = inside * ramp(reach + soft, reach - soft, top - v) * ramp(0.99, 0.9, abs(x))
        bright = 0.86 - 0.3 * ramp(0.5, 1.0, abs(x))
        _mix(rgb, bright, bright * 0.98, bright * 0.94, tooth)
    tongue = ramp(1.0, 0.8, math.hypot(x / 0.62, (v - bottom) / (0.5 * gap + 1e-6))) * ramp(0.12, 0.2, gap)
    _mix(rgb, 0.62, 0.14, 0.15, inside * tongue)
    return inside, 0.5 * cover * (1.0 - inside)


@compiled
def paint_face(u: float, v: float, face: Array, colors: Array, soft: float, rgb: Array) -> tuple[float, float]:
    """Write the linear colour of one place on the face into ``rgb``; returns (share of eyeball or mouth, which are lit
    evenly, and gloss).
    """
    if abs(u) > 1.5 or v > 0.75 or v < -1.4:
        return 0.0, 0.0
    _paint_skin(u, v, face, colors, rgb)
    inside, gloss = _paint_mouth(u, v, face, colors, soft, rgb)
    wet = max(inside, _paint_eye(u, v, face, colors, soft, rgb))
    _paint_brow(u, v, face, colors, soft, rgb)
    return wet, gloss
