"""Deferred shading: colour and light of every visible pixel."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from twinloop.nano.world import material as m
from twinloop.nano.world.compiled import compiled
from twinloop.nano.world.head import ramp
from twinloop.nano.world.paint import paint_face

Array = NDArray[np.float64]


@compiled
def _torso_color(angle: float, y: float, clothes: int, colors: Array, rgb: Array) -> None:
    """Neckline, collar, buttons and lapels by angle (0 = front) and height (head units)."""
    skin, cloth, trim = colors[m.C_SKIN], colors[m.C_CLOTH], colors[m.C_CLOTH_2]
    front = max(0.0, math.cos(angle))
    au = abs(angle)
    rgb[:] = cloth
    if clothes == m.T_SHIRT:
        neck = -1.40 - 0.24 * front**6
        if y > neck:
            rgb[:] = skin * (1.0 - 0.35 * ramp(neck + 0.12, neck, y))
        elif y > neck - 0.07:
            rgb[:] = cloth * 0.74
    elif clothes == m.SHIRT:
        vee = -1.42 - 0.42 * ramp(0.34, 0.0, au)
        if y > vee and au < 0.6:
            rgb[:] = skin * 0.92
        elif au < 0.028:
            rgb[:] = cloth * 0.72
            spot = (y * 2.6) % 1.0 - 0.5
            if abs(spot) < 0.07:
                rgb[:] = trim
    elif clothes == m.SWEATER:
        rgb[:] = cloth * (0.95 + 0.05 * math.sin(angle * 40.0))
    else:
        edge = 0.34 + 0.10 * (y + 1.6)
        if au < edge:
            neck = -1.42 - 0.16 * front**6
            if y > neck:
                rgb[:] = skin * 0.92
            else:
                rgb[:] = trim
        elif au < edge + 0.16 and y > -2.7:
            rgb[:] = cloth * 0.72
        elif au < edge + 0.03:
            rgb[:] = cloth * 0.6


@compiled
def _hair_light(nx: float, ny: float, nz: float, u: float, lights: Array) -> float:
    """Sheen across the strands: strongest where the half vector is at right angles to them."""
    up, key = lights[m.L_UP], lights[m.L_KEY_DIR]
    dot = nx * up[0] + ny * up[1] + nz * up[2]
    tx, ty, tz = up[0] - nx * dot, up[1] - ny * dot, up[2] - nz * dot
    size = math.sqrt(tx * tx + ty * ty + tz * tz) + 1e-6
    hx, hy, hz = key[0], key[1] + 0.25, key[2] + 1.0
    norm = math.sqrt(hx * hx + hy * hy + hz * hz)
    across = (tx * hx + ty * hy + tz * hz) / (size * norm) + 0.03 * math.sin(u * 37.0)
    sheen = math.pow(max(0.0, 1.0 - across * across), 14.0)
    return sheen * ramp(-0.1, 0.5, nx * hx / norm + ny * hy / norm + nz * hz / norm)


@compiled
def _material(
    kind: int, u: float, v: float, face: Array, colors: Array, clothes: int, soft: float, rgb: Array
) -> tuple[float, float, float, bool]:
    """Write the plain colour of one place into ``rgb``; returns (gloss, its power, evenly lit share, is skin)."""
    gloss, power, wet, skin = 0.0, 20.0, 0.0, False
    if kind == m.FACE:
        rgb[:] = colors[m.C_SKIN]
        wet, gloss = paint_face(u, v, face, colors, soft, rgb)
        gloss, skin = gloss * 0.35 + 0.055, True
    elif kind == m.SKIN:
        rgb[:] = colors[m.C_SKIN]
        gloss, skin = 0.04, True
    elif kind == m.HAIR or kind == m.FUR:
        rgb[:] = colors[m.C_HAIR if kind == m.HAIR else m.C_FUR]
        rgb *= 0.93 + 0.09 * math.sin(u * 23.0) + 0.05 * math.sin(u * 51.0 + 1.3)
    elif kind == m.BUZZ:
        rgb[:] = colors[m.C_BUZZ]
    elif kind == m.TORSO:
        _torso_color(u, v, clothes, colors, rgb)
        skin = rgb[0] == colors[m.C_SKIN, 0]
    elif kind == m.SLEEVE:
        rgb[:] = colors[m.C_CLOTH]
    elif kind == m.TRIM:
        rgb[:] = colors[m.C_CLOTH] * 0.82
    elif kind == m.FRAME:
        rgb[:] = colors[m.C_FRAME]
        gloss, power = 0.25, 40.0
    else:
        rgb[:] = colors[m.C_LENS] * (1.0 + 1.5 * ramp(-0.1, 0.3, v))
        gloss, power = 0.5, 60.0
    return gloss, power, wet, skin


@compiled
def shade(
    index: NDArray[np.int32],
    weight: NDArray[np.float32],
    open_share: NDArray[np.float32],
    tris: NDArray[np.int32],
    kinds: NDArray[np.int32],
    normals: Array,
    uv: Array,
    face: Array,
    colors: Array,
    lights: Array,
    clothes: int,
    soft: float,
    image: NDArray[np.float32],
) -> None:
    """Colour the pixels of ``image`` (size, size, 3; squared sRGB in 0..1, background already in it).

    ``open_share`` (size, size) is how much of the ambient light reaches each pixel; ``soft`` the softness of
    painted edges in radians of the face.
    """
    rgb = np.zeros(3)
    key_dir, key, sky, ground, rim = (
        lights[m.L_KEY_DIR], lights[m.L_KEY], lights[m.L_SKY], lights[m.L_GROUND], lights[m.L_RIM],
    )  # fmt: skip
    hx, hy, hz = key_dir[0], key_dir[1], key_dir[2] + 1.0
    norm = math.sqrt(hx * hx + hy * hy + hz * hz)
    hx, hy, hz = hx / norm, hy / norm, hz / norm
    for py in range(index.shape[0]):
        for px in range(index.shape[1]):
            t = index[py, px]
            if t < 0:
                continue
            a, b, c = tris[t, 0], tris[t, 1], tris[t, 2]
            w0, w1 = weight[py, px, 0], weight[py, px, 1]
            w2 = 1.0 - w0 - w1
            nx = w0 * normals[a, 0] + w1 * normals[b, 0] + w2 * normals[c, 0]
            ny = w0 * normals[a, 1] + w1 * normals[b, 1] + w2 * normals[c, 1]
            nz = w0 * normals[a, 2] + w1 * normals[b, 2] + w2 * normals[c, 2]
            u = w0 * uv[a, 0] + w1 * uv[b, 0] + w2 * uv[c, 0]
            v = w0 * uv[a, 1] + w1 * uv[b, 1] + w2 * uv[c, 1]
            kind = kinds[t]
            if nz < 0.0 and (kind == m.HAIR or kind == m.TRIM):
                nx, ny, nz = -nx, -ny, -nz
            size = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
            nx, ny, nz = nx / size, ny / size, max(0.0, nz / size)
            gloss, power, wet, skin = _material(kind, u, v, face, colors, clothes, soft, rgb)
            ndl = nx * key_dir[0] + ny * key_dir[1] + nz * key_dir[2]
            reach = open_share[py, px]
            hemi = 0.5 + 0.5 * ny
            edge = 1.0 - nz
            edge = edge * edge * edge * (0.4 + 0.6 * hemi) * (0.4 if kind == m.HAIR else 1.0)
            spec = gloss * math.pow(max(0.0, nx * hx + ny * hy + nz * hz), power)
            if kind == m.HAIR:
                spec = 0.0
            sheen = _hair_light(nx, ny, nz, u, lights) if kind == m.HAIR else 0.0
            for k in range(3):
                wrap = (0.42 - 0.11 * k) if skin else 0.2
                direct = max(0.0, (ndl + wrap) / (1.0 + wrap))
                direct *= direct * (1.0 - 0.4 * direct) / 0.6
                light = (ground[k] + (sky[k] - ground[k]) * hemi) * reach + key[k] * direct * (0.45 + 0.55 * reach)
                if wet > 0.0:
                    light += (0.62 * (key[k] * 0.55 + sky[k]) * reach - 0.62 * light) * wet
                value = rgb[k] * light + spec * key[k] + edge * rim[k] * (0.25 + rgb[k])
                value += sheen * colors[m.C_HAIR_HI, k] * (0.3 * sky[k] + 0.5 * key[k]) * reach
                image[py, px, k] = value
