"""Colours and lights of a picture, in squared sRGB (0..1), the space the shader works in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twinloop.nano.world import material as m
from twinloop.nano.world.params import Identity, Scene

Array = NDArray[np.float64]

SKIN = {
    "pale": (250, 218, 202), "light": (240, 196, 168), "tan": (214, 158, 116),
    "brown": (158, 104, 70), "dark": (100, 64, 46),
}  # fmt: skip
HAIR = {
    "black": (38, 34, 40), "brown": (104, 66, 42), "blonde": (226, 184, 102), "red": (184, 76, 34),
    "grey": (144, 144, 150), "white": (232, 230, 226), "blue": (58, 108, 200), "pink": (236, 124, 168),
}  # fmt: skip
EYES = {"brown": (128, 74, 32), "blue": (62, 140, 222), "green": (72, 158, 84), "grey": (138, 152, 164)}
CLOTHES = {
    "white": (238, 238, 234), "black": (46, 46, 52), "red": (196, 48, 46), "blue": (52, 96, 178),
    "green": (56, 134, 82), "yellow": (236, 190, 66), "grey": (140, 144, 150),
}  # fmt: skip


def squared(rgb: tuple[float, float, float]) -> Array:
    """sRGB 0..255 to the shader's space."""
    return (np.asarray(rgb, float) / 255.0) ** 2


def colors_of(identity: Identity, scene: Scene) -> Array:
    """(COLOR_SLOTS, 3) colours; the same person always has the same skin, hair and eyes."""
    rng = np.random.default_rng(identity.seed)
    out = np.zeros((m.COLOR_SLOTS, 3))
    tone = 1.0 + 0.05 * rng.uniform(-1.0, 1.0, 3)
    skin = squared(SKIN[identity.skin]) * (1.0 + 0.09 * rng.uniform(-1.0, 1.0)) * tone
    hair = squared(HAIR[identity.hair_color]) * (1.0 + 0.16 * rng.uniform(-1.0, 1.0)) * tone[::-1]
    out[m.C_SKIN] = np.minimum(skin, 0.97)
    out[m.C_DEEP] = skin * np.array([0.62, 0.40, 0.36])
    rosy = squared((214, 84, 88)) if identity.person == "woman" else squared((196, 104, 94))
    out[m.C_LIP] = 0.55 * rosy * (0.4 + 0.6 * min(1.0, float(skin[0]) / 0.8)) + 0.45 * skin * np.array(
        [0.85, 0.4, 0.42]
    )
    out[m.C_HAIR] = hair
    out[m.C_HAIR_HI] = np.minimum(0.10 + 1.25 * hair, 0.95)
    natural = hair * 0.55 if identity.hair_color not in ("white", "blonde") else hair * 0.42
    out[m.C_BROW] = np.minimum(natural, 0.5 * skin)
    out[m.C_FUR] = hair * 0.82
    out[m.C_BUZZ] = 0.5 * hair + 0.5 * skin * np.array([0.5, 0.42, 0.4])
    out[m.C_IRIS] = squared(EYES[identity.eye_color]) * (1.0 + 0.12 * rng.uniform(-1.0, 1.0))
    out[m.C_SCLERA] = (0.95, 0.96, 0.97)
    cloth = squared(CLOTHES[scene.clothes_color])
    out[m.C_CLOTH] = cloth
    light = cloth.mean() > 0.4
    out[m.C_CLOTH_2] = (0.10, 0.12, 0.16) if light else (0.82, 0.81, 0.78)
    out[m.C_FRAME] = squared((40, 32, 34)) if rng.random() < 0.7 else squared((120, 62, 30))
    out[m.C_LENS] = squared((36, 34, 42))
    return out


def lights_of(scene: Scene, up: Array) -> Array:
    """(LIGHT_ROWS, 3) lights of a scene; ``up`` is the head's up direction (for the sheen of the hair)."""
    rng = np.random.default_rng(scene.background_seed + 17)
    side = 1.0 if rng.random() < 0.5 else -1.0
    swing = float(rng.uniform(-0.12, 0.12))
    out = np.zeros((m.LIGHT_ROWS, 3))
    warm = {
        "indoor": (1.05, 1.0, 0.92),
        "outdoor": (1.04, 1.01, 0.96),
        "studio": (1.0, 1.0, 1.0),
        "casual": (1.06, 0.99, 0.93),
    }
    tint = np.array(warm[scene.setting])
    if scene.lighting == "low_key":
        direction = np.array([side * (0.92 + swing), 0.30, 0.42])
        out[m.L_KEY] = 0.95 * tint * np.array([1.05, 0.98, 0.88])
        out[m.L_SKY], out[m.L_GROUND] = (0.10, 0.105, 0.13), (0.05, 0.05, 0.06)
        out[m.L_RIM] = (0.05, 0.06, 0.09)
    elif scene.lighting == "high_key":
        direction = np.array([side * (0.25 + swing), 0.45, 0.9])
        out[m.L_KEY] = 0.62
        out[m.L_SKY], out[m.L_GROUND] = (0.66, 0.66, 0.67), (0.52, 0.51, 0.50)
        out[m.L_RIM] = 0.42
    else:
        direction = np.array([side * (0.48 + swing), 0.55, 0.72])
        out[m.L_KEY] = 0.78 * tint
        out[m.L_SKY], out[m.L_GROUND] = (
            np.array([0.40, 0.41, 0.43]) * tint,
            np.array([0.22, 0.20, 0.19]) * tint,
        )
        out[m.L_RIM] = (0.16, 0.16, 0.17)
    out[m.L_KEY_DIR] = direction / np.linalg.norm(direction)
    out[m.L_UP] = up
    return out
