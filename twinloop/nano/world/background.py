"""Simple, soft backgrounds: four settings, three moods of light."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from twinloop.nano.world.params import Scene

Canvas = NDArray[np.float32]
SIDE = 128  # backgrounds are soft: they are drawn small and enlarged


def _fill(top: tuple[float, float, float], bottom: tuple[float, float, float]) -> Canvas:
    t = np.linspace(0.0, 1.0, SIDE, dtype=np.float32)[:, None, None]
    row = np.asarray(top, np.float32) * (1 - t) + np.asarray(bottom, np.float32) * t
    return np.ascontiguousarray(np.broadcast_to(row, (SIDE, SIDE, 3)))


def _tone(rng: np.random.Generator, base: tuple[float, float, float], spread: float) -> tuple[float, float, float]:
    red, green, blue = np.clip(np.asarray(base) + rng.normal(0.0, spread, 3), 8, 248)
    return float(red), float(green), float(blue)


def _box(canvas: Canvas, x0: float, y0: float, x1: float, y1: float, color: tuple[float, float, float]) -> None:
    cv2.rectangle(canvas, (int(x0), int(y0)), (int(x1), int(y1)), color, -1, cv2.LINE_AA)


def _studio(rng: np.random.Generator) -> Canvas:
    base = np.asarray(
        ((118, 124, 134), (92, 110, 138), (138, 126, 120), (112, 128, 122), (132, 112, 128))[int(rng.integers(5))],
        float,
    )
    canvas = np.broadcast_to(base, (SIDE, SIDE, 3)).astype(np.float32)
    yy, xx = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    glow = np.exp(-((xx - 0.5 - rng.uniform(-0.12, 0.12)) ** 2 + (yy - 0.42) ** 2) / 0.16)
    return np.asarray(canvas * (0.62 + 0.72 * glow[..., None]), np.float32)


def _indoor(rng: np.random.Generator) -> Canvas:
    wall = ((222, 190, 148), (214, 178, 146), (206, 192, 158), (224, 200, 166))[int(rng.integers(4))]
    canvas = _fill(_tone(rng, wall, 5), tuple(c * 0.82 for c in wall))  # type: ignore[arg-type]
    side = float(rng.random() < 0.5)
    left = 4 + side * 84 + rng.uniform(-4, 4)
    kind = int(rng.integers(3))
    if kind == 0:
        _box(canvas, left - 3, 10, left + 39, 72, (250, 246, 236))
        _box(canvas, left, 13, left + 36, 69, (176, 214, 240))
        _box(canvas, left + 17, 13, left + 19, 69, (250, 246, 236))
        _box(canvas, left, 40, left + 36, 42, (250, 246, 236))
    elif kind == 1:
        for shelf in range(2):
            y = 34 + 34 * shelf
            x = left
            while x < left + 32:
                wide, high = rng.uniform(4, 8), rng.uniform(14, 22)
                _box(canvas, x, y - high, x + wide, y, _tone(rng, (150, 100, 80), 38))
                x += wide + 1
            _box(canvas, left - 4, y, left + 40, y + 3, (120, 80, 50))
    else:
        cv2.circle(canvas, (int(left + 18), 36), 34, (250, 222, 168), -1, cv2.LINE_AA)
        canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), 9), np.float32)
        shade = np.array([[left + 8, 26], [left + 28, 26], [left + 34, 48], [left + 2, 48]], np.int32)
        cv2.fillPoly(canvas, [shade], (255, 244, 206), cv2.LINE_AA)
        _box(canvas, left + 17, 48, left + 19, 128, (96, 66, 46))
    return canvas


def _outdoor(rng: np.random.Generator) -> Canvas:
    canvas = _fill(_tone(rng, (104, 170, 232), 8), (206, 230, 244))
    for _ in range(int(rng.integers(1, 3))):
        cv2.ellipse(
            canvas,
            (int(rng.uniform(10, 118)), int(rng.uniform(8, 34))),
            (int(rng.uniform(14, 24)), 6),
            0,
            0,
            360,
            (250, 252, 255),
            -1,
            cv2.LINE_AA,
        )
    xs = np.arange(0, SIDE + 8, 8)
    for level, color in ((62, (132, 176, 150)), (74, (92, 152, 92))):
        ys = level + rng.uniform(4, 9) * np.sin(xs / rng.uniform(16, 30) + rng.uniform(0, 6))
        hill = np.concatenate([np.stack([xs, ys], 1), [[SIDE, SIDE], [0, SIDE]]]).astype(np.int32)
        cv2.fillPoly(canvas, [hill], _tone(rng, color, 6), cv2.LINE_AA)
    for _ in range(int(rng.integers(1, 3))):
        x = int(rng.choice((rng.uniform(4, 34), rng.uniform(94, 124))))
        y = int(rng.uniform(46, 60))
        _box(canvas, x - 3, y, x + 3, 92, (104, 76, 54))
        cv2.circle(canvas, (x, y), int(rng.uniform(15, 22)), _tone(rng, (58, 122, 66), 8), -1, cv2.LINE_AA)
    _box(canvas, 0, 94, SIDE, SIDE, _tone(rng, (122, 186, 84), 8))
    return canvas


def _casual(rng: np.random.Generator) -> Canvas:
    kind = int(rng.integers(3))
    if kind == 0:
        canvas = _fill((176, 92, 72), (152, 76, 60))
        for row in range(0, SIDE, 11):
            cv2.line(canvas, (0, row), (SIDE, row), (206, 168, 150), 1, cv2.LINE_AA)
            for x in range((row // 11 % 2) * 12, SIDE, 24):
                cv2.line(canvas, (x, row), (x, row + 11), (206, 168, 150), 1, cv2.LINE_AA)
        return canvas
    wall = ((52, 122, 126), (196, 112, 64), (108, 72, 122))[int(rng.integers(3))]
    canvas = _fill(_tone(rng, wall, 8), tuple(c * 0.62 for c in wall))  # type: ignore[arg-type]
    for _ in range(int(rng.integers(6, 10))):
        spot = ((255, 214, 120), (255, 176, 96), (250, 236, 200), (255, 140, 120))[int(rng.integers(4))]
        cv2.circle(
            canvas,
            (int(rng.uniform(0, SIDE)), int(rng.uniform(0, 70))),
            int(rng.uniform(4, 8)),
            spot,
            -1,
            cv2.LINE_AA,
        )
    if kind == 2:
        _box(canvas, 0, 96, SIDE, SIDE, (104, 66, 44))
    return canvas


_DRAW = {"studio": _studio, "indoor": _indoor, "outdoor": _outdoor, "casual": _casual}
_SOFT = {"studio": 4.0, "indoor": 1.6, "outdoor": 1.8, "casual": 2.0}


def background(scene: Scene, size: int) -> Canvas:
    """(size, size, 3) float32 in squared sRGB 0..1, softly out of focus."""
    canvas = _DRAW[scene.setting](np.random.default_rng(scene.background_seed))
    canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), _SOFT[scene.setting]), np.float32)
    canvas = np.clip(canvas / 255.0, 0.0, 1.0) ** 2
    if scene.lighting == "low_key":
        yy, xx = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
        fade = np.exp(-(xx**2 + yy**2) / 0.28)[..., None]
        canvas = canvas * (0.035 + 0.085 * fade)
    elif scene.lighting == "high_key":
        canvas = 0.80 + 0.17 * canvas
    return np.asarray(
        cv2.resize(np.asarray(canvas, np.float32), (size, size), interpolation=cv2.INTER_CUBIC), np.float32
    )
