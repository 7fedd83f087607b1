"""Head pose from five landmarks alone: needs no model file, and is coarser than a trained net."""

from __future__ import annotations

import math

import numpy as np

from twinloop.domain.faces import Face, FloatArray, HeadPose, ImageArray

MEAN_FACE: FloatArray = np.array(
    [[-32, -34, -30], [32, -34, -30], [0, 0, 0], [-25, 32, -24], [25, 32, -24]], dtype=np.float32
)
"""An average face in millimetres, x image-right, y down, z towards the camera, origin at the nose tip. Rounded from
adult anthropometry: eyes 64 mm apart and 30 mm behind the nose tip, mouth corners 50 mm apart."""
_CENTERED = MEAN_FACE - MEAN_FACE.mean(axis=0)
_SOLVE = np.linalg.pinv(_CENTERED.astype(np.float64))
_VERSION = 1


def pose_of(landmarks: FloatArray) -> HeadPose | None:
    """Pose of the mean face whose scaled orthographic picture fits ``landmarks`` (5, 2) best; None when they collapse
    to a line.

    The 2x3 least-squares projection is brought to the nearest scaled rotation (singular values made equal).
    """
    points = landmarks.astype(np.float64)
    projection = (points - points.mean(axis=0)).T @ _SOLVE.T
    u, size, v = np.linalg.svd(projection, full_matrices=False)
    if not np.isfinite(size).all() or size[0] < 1e-3 or size[1] < 0.05 * size[0]:
        return None
    rows = u @ v
    forward = np.cross(rows[0], rows[1])
    yaw = math.degrees(math.atan2(-forward[0], forward[2]))
    pitch = math.degrees(math.asin(float(np.clip(forward[1], -1.0, 1.0))))
    roll = math.degrees(math.atan2(-rows[0, 1], rows[1, 1]))
    return HeadPose(yaw, pitch, roll)


class LandmarkPose:
    """Head pose from the face detector's landmarks."""

    @property
    def fingerprint(self) -> str:
        return f"landmark-pose{_VERSION}"

    def pose(self, image: ImageArray, face: Face) -> HeadPose | None:
        """Degrees; None when the face has no landmarks or they are too close together."""
        return None if face.landmarks is None else pose_of(face.landmarks)
