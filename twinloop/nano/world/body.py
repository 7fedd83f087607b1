"""Ears, glasses, neck, torso, arms and hands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twinloop.nano.world import face as f
from twinloop.nano.world import material as m
from twinloop.nano.world.head import head_point
from twinloop.nano.world.params import Identity, Scene
from twinloop.nano.world.patch import Patch, ellipsoid, smooth_path, tube
from twinloop.nano.world.turn import about_y, about_z

Array = NDArray[np.float64]

_TORSO_DOWN = (1.0, 1.22, 1.36, 1.46, 1.58, 1.74, 2.0, 2.4, 3.0, 3.9, 5.4, 6.5)
_TORSO_X = (0.34, 0.40, 0.56, 0.82, 1.06, 1.24, 1.34, 1.33, 1.22, 1.10, 1.16, 1.2)
_TORSO_Z = (0.34, 0.38, 0.46, 0.50, 0.53, 0.56, 0.60, 0.63, 0.62, 0.56, 0.58, 0.6)


def ear_patches(face: Array) -> list[Patch]:
    """Both ears in head coordinates."""
    size = face[f.EAR]
    out = []
    for side in (-1.0, 1.0):
        x, y, z = head_point(side * 1.66, -0.12, face)
        turn = about_y(-side * 32.0) @ about_z(side * 8.0)
        out.append(ellipsoid((x + side * 0.05, y, z - 0.04), (0.075, 0.24 * size, 0.15 * size), m.SKIN, turn))
        inner = (x + side * 0.085, y + 0.01, z + 0.0)
        out.append(ellipsoid(inner, (0.05, 0.15 * size, 0.09 * size), m.SKIN, turn, rows=11, cols=13))
    return out


def glasses_patches(identity: Identity, face: Array) -> list[Patch]:
    """Frames (and dark lenses for sunglasses) in head coordinates."""
    if identity.glasses == "none":
        return []
    dark = identity.glasses == "sunglasses"
    around = np.linspace(-np.pi, np.pi, 33)
    square = 0.7
    wide, high = (0.285, 0.235) if not dark else (0.31, 0.25)
    bridge_z = head_point(0.0, 0.0, face)[2] + 0.05
    out = []
    for side in (-1.0, 1.0):
        cx = side * np.sin(face[f.EYE_U]) * face[f.WIDTH] * 1.06
        cy = np.sin(face[f.EYE_V]) * face[f.HEIGHT] - 0.01
        dx = np.sign(np.sin(around)) * np.abs(np.sin(around)) ** square * wide
        dy = np.sign(np.cos(around)) * np.abs(np.cos(around)) ** square * high
        x = cx + dx
        z = bridge_z + 0.03 - 0.42 * np.maximum(0.0, np.abs(x) - 0.08) ** 1.7
        ring = np.stack([x, cy + dy, z], axis=1)
        out.append(tube(ring, np.full(33, 0.030), m.FRAME, cols=9, closed=True))
        if dark:
            out.append(_lens(ring, np.array([cx, cy, float(z.mean()) + 0.03])))
        hinge = ring[np.argmax(ring[:, 0] * side)] + np.array([0.0, 0.09, 0.0])
        ear = np.array([side * (face[f.WIDTH] + 0.06), cy + 0.06, 0.02])
        path = smooth_path([hinge, (hinge + ear) / 2 + np.array([side * 0.05, 0.02, 0.0]), ear], 9)
        out.append(tube(path, np.full(9, 0.028), m.FRAME, cols=8))
    y = np.sin(face[f.EYE_V]) + 0.05
    inner = np.sin(face[f.EYE_U]) * face[f.WIDTH] * 1.06 - wide
    nose = smooth_path([(-inner, y, bridge_z + 0.03), (0.0, y + 0.03, bridge_z + 0.07), (inner, y, bridge_z + 0.03)], 7)
    return [*out, tube(nose, np.full(7, 0.028), m.FRAME, cols=8)]


def _lens(ring: Array, centre: Array) -> Patch:
    shares = np.linspace(1.0, 0.0, 6)[:, None, None]
    points = centre + (ring - centre)[None] * shares
    uv = (ring - centre)[None, :, :2] * shares
    return Patch(points, np.ascontiguousarray(uv), m.LENS)


def torso_patches(identity: Identity, scene: Scene) -> list[Patch]:
    """Neck, torso and collar in body coordinates (origin at the head's centre)."""
    man = identity.person == "man"
    wide, slim = (1.2, 1.15) if man else (0.97, 0.95)
    y = np.concatenate([np.linspace(-1.0, -2.1, 23), np.linspace(-2.25, -6.5, 14)])
    rx, rz = np.interp(-y, _TORSO_DOWN, _TORSO_X) * wide, np.interp(-y, _TORSO_DOWN, _TORSO_Z) * slim
    angle = np.linspace(-np.pi, np.pi, 49)
    sin, cos = np.sin(angle), np.cos(angle)
    power = 0.85
    x = np.sign(sin) * np.abs(sin) ** power * rx[:, None]
    z = np.sign(cos) * np.abs(cos) ** power * rz[:, None] - 0.16
    points = np.stack([x, np.broadcast_to(y[:, None], x.shape), z], axis=2)
    points[:, -1] = points[:, 0]
    uv = np.stack(np.broadcast_arrays(angle[None, :], y[:, None]), axis=2)
    thick = 0.50 if man else 0.37
    neck = tube(np.array([(0, -0.45, -0.14), (0, -0.9, -0.15), (0, -1.3, -0.17), (0, -1.6, -0.18)]),
                np.array([0.98, 0.98, 1.04, 1.2]) * thick, m.SKIN, cols=25)  # fmt: skip
    out = [neck, Patch(points, np.ascontiguousarray(uv), m.TORSO)]
    if scene.clothes == "sweater":
        out += [_roll(thick + 0.13, -1.26, 0.11), _roll(thick + 0.12, -1.12, 0.10)]
    elif scene.clothes in ("shirt", "jacket"):
        out.append(_collar(thick + 0.07, 0.26, 0.30) if scene.clothes == "shirt" else _collar(thick + 0.12, 0.34, 0.5))
    return out


def _roll(radius: float, y: float, thick: float) -> Patch:
    """A closed ring of wool about the neck."""
    angle = np.linspace(0.0, 2 * np.pi, 37)
    path = np.stack(
        [np.sin(angle) * radius, y - 0.10 * np.maximum(0.0, np.cos(angle)), np.cos(angle) * radius - 0.14],
        axis=1,
    )
    return tube(path, np.full(37, thick), m.SLEEVE, cols=11, closed=True)


def _collar(radius: float, width: float, opening: float) -> Patch:
    """A folded collar: a band that falls outwards from the neck, open in front and pointed there."""
    angle = np.linspace(opening, 2 * np.pi - opening, 41)
    front = np.maximum(0.0, np.cos(angle))
    rows = []
    for share in (0.0, 0.12, 0.35, 0.65, 1.0):
        reach = radius + width * np.sin(share * 1.35) * (0.75 + 0.2 * front)
        y = (
            -1.20
            - 0.26 * front**2
            + 0.05 * np.sin(np.pi * min(1.0, share * 2.2))
            - width * share**1.4 * (0.8 + 0.9 * front**3)
        )
        rows.append(np.stack([np.sin(angle) * reach, y, np.cos(angle) * reach - 0.13], axis=1))
    points = np.array(rows)
    return Patch(points, np.zeros((*points.shape[:2], 2)), m.TRIM)


def hand_places(scene: Scene) -> list[tuple[float, Array]]:
    """(side, wrist position) of every raised hand in body coordinates; side -1 is image left."""
    if scene.hands == 0:
        return []
    rng = np.random.default_rng(scene.background_seed + 29)
    first = 1.0 if rng.random() < 0.5 else -1.0
    if abs(scene.yaw) > 50.0:
        first = -1.0 if scene.yaw > 0 else 1.0
    x, y = {"close_up": (0.87, -1.20), "portrait": (1.16, -1.12), "half_body": (1.36, -1.0)}[scene.framing]
    out = []
    for side in (first, -first)[: min(2, scene.hands)]:
        before = side * scene.yaw > 35.0
        lower = 0.20 if before else 0.0
        jitter = rng.uniform(-0.05, 0.05, 2)
        out.append(
            (
                side,
                np.array([side * (x + (0.12 if before else 0.0)) + jitter[0], y - lower + jitter[1], 0.62]),
            )
        )
    return out


def hand_patches(side: float, wrist: Array, tilt: float) -> list[Patch]:
    """An open hand with its palm to the viewer, fingers up, thumb towards the head."""
    turn = about_z(side * (13.0 + tilt)) @ about_y(-side * 12.0)

    def place(x: float, y: float, z: float) -> tuple[float, float, float]:
        moved = turn @ np.array([x * side, y, z]) + wrist
        return float(moved[0]), float(moved[1]), float(moved[2])

    out = [ellipsoid(place(0.0, 0.27, 0.0), (0.265, 0.31, 0.115), m.SKIN, turn, rows=17, cols=21)]
    fingers = (
        (-0.185, 0.40, -13.0, 0.37),
        (-0.065, 0.47, -4.5, 0.43),
        (0.065, 0.46, 4.5, 0.40),
        (0.18, 0.39, 14.0, 0.30),
    )
    for x, y, spread, length in fingers:
        way = np.array([np.sin(np.radians(spread)), np.cos(np.radians(spread))])
        path = [place(x + way[0] * s * length, y + way[1] * s * length, 0.04 * s * s) for s in (0.0, 0.35, 0.7, 1.0)]
        out.append(tube(np.array(path), np.array([0.082, 0.082, 0.077, 0.066]), m.SKIN, cols=13))
    thumb = [
        place(x, y, z)
        for x, y, z in ((-0.13, 0.13, 0.03), (-0.27, 0.25, 0.08), (-0.36, 0.37, 0.08), (-0.40, 0.48, 0.06))
    ]
    out.append(tube(np.array(thumb), np.array([0.10, 0.092, 0.084, 0.07]), m.SKIN, cols=13))
    return out


def arm_patches(identity: Identity, scene: Scene, side: float, wrist: Array | None) -> list[Patch]:
    """An arm in body coordinates: hanging, or bent with the hand at ``wrist``."""
    wide = 1.2 if identity.person == "man" else 0.97
    shoulder = (side * 1.10 * wide, -2.0, -0.14)
    if wrist is None:
        path = smooth_path(
            [
                shoulder,
                (side * 1.42 * wide, -2.7, -0.1),
                (side * 1.48 * wide, -3.7, 0.0),
                (side * 1.3 * wide, -5.2, 0.3),
            ],
            14,
        )
        bare = 0.36
    else:
        elbow = (side * max(1.5 * wide, abs(wrist[0]) + 0.2), -3.0, 0.25)
        end = (float(wrist[0]), float(wrist[1]), float(wrist[2]))
        path = smooth_path([shoulder, (side * 1.45 * wide, -2.45, 0.0), elbow, end], 22)
        bare = 0.4
    radius = np.interp(np.linspace(0, 1, len(path)), (0.0, 0.2, 0.6, 0.85, 1.0), (0.27, 0.265, 0.22, 0.17, 0.15))
    radius *= 1.08 if identity.person == "man" else 0.95
    if scene.clothes == "t-shirt":
        cut = max(2, int(bare * len(path)))
        return [
            tube(path[: cut + 1], radius[: cut + 1] + 0.07, m.SLEEVE, cols=17),
            tube(path[cut - 1 :], radius[cut - 1 :], m.SKIN, cols=17),
        ]
    cut = len(path) - (3 if wrist is not None else 1)
    out = [tube(path[: cut + 1], radius[: cut + 1] + 0.075, m.SLEEVE, cols=17)]
    if wrist is not None:
        out.append(tube(path[cut - 2 :], radius[cut - 2 :], m.SKIN, cols=17))
    return out
