"""Numbers of materials and colour slots, shared by the geometry and the shader."""

from __future__ import annotations

FACE, SKIN, HAIR, TORSO, SLEEVE, FRAME, LENS, FUR, TRIM, BUZZ = range(10)

(
    C_SKIN,
    C_DEEP,
    C_LIP,
    C_BROW,
    C_IRIS,
    C_HAIR,
    C_HAIR_HI,
    C_CLOTH,
    C_CLOTH_2,
    C_FRAME,
    C_LENS,
    C_FUR,
    C_SCLERA,
    C_BUZZ,
) = range(14)
COLOR_SLOTS = 14

# rows of the light matrix (LIGHT_ROWS, 3)
L_KEY_DIR, L_KEY, L_SKY, L_GROUND, L_RIM, L_UP = range(6)
LIGHT_ROWS = 6

T_SHIRT, SHIRT, SWEATER, JACKET = range(4)
