"""Rotations in the viewer's frame: x image right, y up, z towards the viewer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def about_y(degrees: float) -> Array:
    """(3, 3); positive turns the front (z) towards image right."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def about_x(degrees: float) -> Array:
    """(3, 3); positive turns the front (z) upwards."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1.0, 0.0, 0.0], [0.0, c, s], [0.0, -s, c]])


def about_z(degrees: float) -> Array:
    """(3, 3); positive turns the top (y) towards image right, clockwise as the viewer sees it."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])


def head_turn(yaw: float, pitch: float, roll: float) -> Array:
    """(3, 3) rotation of a head: pitch first, then yaw, then roll in the picture plane (degrees)."""
    turn: Array = about_z(roll) @ about_y(yaw) @ about_x(pitch)
    return turn
