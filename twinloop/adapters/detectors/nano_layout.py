"""What the numbers that the nano networks give out mean; their training and their use read it here."""

from __future__ import annotations

from twinloop.facets import expression, lighting, setting

WHOLE_SIZE, GRID, STRIDE = 128, 16, 8
"""The whole picture in a square of 128 px; one grid cell is 8 px of it."""
FACE_SIZE, HEAD_SIZE, EMBEDDING = 96, 80, 96
"""Sides (px) of the crops, and the length of an identity vector."""

FACE_SCORE, FACE_BOX, FACE_MARKS = 0, slice(1, 5), slice(5, 15)
HAND_SCORE, HAND_BOX = 15, slice(16, 20)
GRID_VALUES = 20
"""Per cell: logit; box edges left, top, right, bottom as distances from the cell's centre, in `DISTANCE` px; landmarks
the same."""
DISTANCE = 32.0

SETTINGS, LIGHTINGS, EXPRESSIONS = setting.VALUES, lighting.VALUES, expression.VALUES
SETTING, LIGHTING = slice(0, 4), slice(4, 7)
SETTING_VALUES = 7

BOX, MARKS, ANGLES, EYES, QUALITY, EXPRESSION = slice(0, 4), slice(4, 14), slice(14, 17), 17, 18, slice(19, 25)
FACE_VALUES = 25
"""Of a face crop: box edges and landmarks in shares of the crop's side from its centre; yaw, pitch, roll in `DEGREES`;
logits."""
DEGREES = 60.0
