"""A face as one vector of numbers, shared by its geometry (``head``) and its painting (``shade``).

Places on the face are (u, v) in radians: v is the latitude, u the longitude times cos(latitude), so that
small features keep their shape; u > 0 is image right in a frontal view, v > 0 is up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twinloop.nano.world.params import Identity, Scene

(
    WIDTH, HEIGHT, DEPTH, JAW, CHEEKS, NOSE, NOSE_W,
    EYE_U, EYE_V, EYE_HW, EYE_HH, EYE_TILT, LID_UP, LID_LOW, CLOSED, GAZE_U, GAZE_V,
    BROW_V, BROW_T, BROW_SLOPE, BROW_ARCH,
    MOUTH_V, MOUTH_W, CURVE, OPEN_UP, OPEN_DN, ROUND, LIP_UP, LIP_DN, TEETH, JAW_DROP, CHEEK_UP,
    WOMAN, FRECKLES, MOLE, SCAR, STUBBLE, NOSE_V, FURROW, EAR,
) = range(40)  # fmt: skip

FACE_SIZE = 40


class Mimic(NamedTuple):
    """What one expression does to brows, lids and mouth (offsets in radians, lids as a factor)."""

    brow_v: float = 0.0
    brow_slope: float = 0.0  # > 0: inner ends down
    brow_arch: float = 0.0
    lid_up: float = 1.0
    lid_low: float = 1.0
    mouth_w: float = 1.0
    curve: float = 0.0  # > 0: corners up
    open_up: float = 0.0
    open_dn: float = 0.0
    round: float = 0.0
    teeth: float = 0.0
    jaw: float = 0.0
    cheek: float = 0.0
    furrow: float = 0.0


MIMICS: dict[str, Mimic] = {
    "neutral": Mimic(),
    "smile": Mimic(0.015, -0.02, 0.01, 0.97, 0.82, 1.2, 0.1, -0.004, 0.075, 0.1, 1.0, 0.01, 0.6),
    "serious": Mimic(-0.055, 0.05, -0.02, 0.74, 0.86, 0.94, -0.028, furrow=0.35),
    "laughing": Mimic(0.055, -0.03, 0.03, 0.74, 0.62, 1.26, 0.1, 0.015, 0.24, 0.35, 1.0, 0.11, 1.0),
    "surprised": Mimic(0.13, -0.05, 0.04, 1.2, 1.1, 0.62, 0.0, 0.07, 0.17, 1.0, 0.0, 0.13, -0.2),
    "angry": Mimic(-0.07, 0.2, -0.03, 0.82, 0.8, 0.95, -0.095, furrow=1.0),
}


def face_vector(identity: Identity, scene: Scene) -> NDArray[np.float64]:
    """The (FACE_SIZE,) vector of one person with one expression; indices are this module's constants."""
    me, mimic = identity, MIMICS[scene.expression]
    woman = me.person == "woman"
    face = np.zeros(FACE_SIZE)
    face[WIDTH] = 0.80 + 0.065 * me.face_width + (0.0 if woman else 0.02)
    face[HEIGHT] = (1.075 if woman else 1.10) + 0.07 * me.face_length
    face[DEPTH] = 0.90
    face[JAW] = 0.55 * me.jaw + (-0.35 if woman else 0.55)
    face[CHEEKS] = me.cheeks
    face[NOSE] = (0.145 if woman else 0.172) * (1.0 + 0.28 * me.nose_size)
    face[NOSE_W] = (1.0 if woman else 1.15) * (1.0 + 0.3 * me.nose_width)
    face[NOSE_V] = -0.335
    face[EYE_HW] = (0.24 if woman else 0.212) * (1.0 + 0.13 * me.eye_size)
    face[EYE_HH] = (0.195 if woman else 0.168) * (1.0 + 0.16 * me.eye_size)
    face[EYE_U] = 0.41 + 0.045 * me.eye_spacing
    face[EYE_V] = 0.02
    face[EYE_TILT] = (0.06 if woman else 0.02) + 0.13 * me.eye_tilt
    face[LID_UP], face[LID_LOW] = mimic.lid_up, mimic.lid_low
    face[CLOSED] = 0.0 if scene.eyes_open else 1.0
    face[BROW_V] = (0.34 if woman else 0.31) + 0.02 * me.eye_size + mimic.brow_v
    face[BROW_T] = (0.031 if woman else 0.050) * (1.0 + 0.42 * me.brow_thickness)
    face[BROW_SLOPE] = 0.06 * me.brow_angle + mimic.brow_slope
    face[BROW_ARCH] = (0.055 if woman else 0.035) + mimic.brow_arch
    face[MOUTH_V] = -0.66
    face[MOUTH_W] = 0.26 * (1.0 + 0.16 * me.mouth_width) * mimic.mouth_w
    face[CURVE], face[OPEN_UP], face[OPEN_DN] = mimic.curve, mimic.open_up, mimic.open_dn
    face[ROUND], face[TEETH], face[JAW_DROP] = mimic.round, mimic.teeth, mimic.jaw
    face[CHEEK_UP], face[FURROW] = mimic.cheek, mimic.furrow
    full = 1.0 + 0.4 * me.lip_fullness
    face[LIP_UP] = (0.046 if woman else 0.03) * full
    face[LIP_DN] = (0.066 if woman else 0.046) * full
    face[WOMAN] = 1.0 if woman else 0.0
    face[FRECKLES] = float(me.marks == "freckles")
    face[MOLE] = float(me.marks == "mole")
    face[SCAR] = float(me.marks == "scar")
    face[STUBBLE] = {"none": 0.0, "stubble": 1.0, "moustache": 0.15, "beard": 0.6}[me.beard]
    face[EAR] = 1.0 + 0.25 * me.ear_size
    _look(face, scene)
    return face


def _look(face: NDArray[np.float64], scene: Scene) -> None:
    """Eyes stay a little behind a turned head, towards the camera; that looks alive."""
    face[GAZE_U] = -float(np.clip(scene.yaw / 45.0, -1.0, 1.0)) * 0.035
    face[GAZE_V] = -float(np.clip(scene.pitch / 20.0, -1.0, 1.0)) * 0.02
