"""Draw one person in one situation, with the exact truth about the picture."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from twinloop.errors import InputError
from twinloop.nano.world import face as f
from twinloop.nano.world import material as m
from twinloop.nano.world.background import background
from twinloop.nano.world.body import (
    arm_patches,
    ear_patches,
    glasses_patches,
    hand_patches,
    hand_places,
    torso_patches,
)
from twinloop.nano.world.face import face_vector
from twinloop.nano.world.hair import beard_patches, hair_patches
from twinloop.nano.world.head import face_points, head_patch, head_point, outline_points
from twinloop.nano.world.palette import colors_of, lights_of
from twinloop.nano.world.params import CLOTHES, Identity, Scene
from twinloop.nano.world.patch import Mesh, Patch, join
from twinloop.nano.world.raster import rasterise
from twinloop.nano.world.shade import shade
from twinloop.nano.world.turn import about_y, head_turn

Array = NDArray[np.float64]
Box = tuple[float, float, float, float]

_DISTANCE = 9.0  # camera to head centre, in head units
_FACE_HEIGHT = 1.77  # chin to hairline of the average head, in head units
_SHARE = {"close_up": 0.65, "portrait": 0.45, "half_body": 0.28}
_CENTRE_Y = {"close_up": 0.51, "portrait": 0.43, "half_body": 0.29}
_FAR = -1e8


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known about a picture. All places are pixels of that picture (x right, y down), angles degrees.

    ``landmarks`` (5, 2): image-left eye, image-right eye, nose tip, image-left and image-right mouth corner
    (sides as in a frontal view, also where a turned head hides one);
    ``landmarks_visible`` (5,): not hidden by the head itself, hair, lenses or hands, and inside the picture.
    ``eye_boxes`` are those of visible eyes, ``hand_boxes`` those of hands that are in the picture.
    """

    face_box: Box
    landmarks: Array
    landmarks_visible: NDArray[np.bool_]
    yaw: float
    pitch: float
    roll: float
    hand_boxes: list[Box]
    eye_boxes: list[Box]
    identity: Identity
    scene: Scene

    @property
    def eyes_visible(self) -> bool:
        """At least one eye is open and can be seen."""
        return self.scene.eyes_open and bool(self.landmarks_visible[:2].any())

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers."""
        out = asdict(self)
        out["landmarks"] = self.landmarks.round(2).tolist()
        out["landmarks_visible"] = [bool(seen) for seen in self.landmarks_visible]
        for name in ("hand_boxes", "eye_boxes"):
            out[name] = [[round(x, 2) for x in box] for box in out[name]]
        out["face_box"] = [round(x, 2) for x in self.face_box]
        out["scene"]["offset"] = list(self.scene.offset)
        return out


@dataclass(frozen=True, eq=False)
class Rendering:
    """A picture (size, size, 3) uint8 RGB and its truth."""

    image: NDArray[np.uint8]
    truth: Truth


@dataclass(frozen=True, eq=False)
class _Camera:
    """Mild perspective onto a square canvas of ``size`` pixels."""

    size: int
    scale: float
    centre: tuple[float, float]

    def project(self, points: Array) -> Array:
        """(n, 3) world points to (n, 3): x, y in pixels, z as it was."""
        grow = self.scale * _DISTANCE / (_DISTANCE - points[:, 2])
        x = self.centre[0] + points[:, 0] * grow
        y = self.centre[1] - points[:, 1] * grow
        return np.stack([x, y, points[:, 2]], axis=1)


@dataclass(frozen=True, eq=False)
class _Stage:
    """Everything placed in the world: the mesh, and the hands as separate point sets for their boxes."""

    mesh: Mesh
    turn: Array
    face: Array
    hands: list[Array]


def render(identity: Identity, scene: Scene, size: int = 256) -> Rendering:
    """Draw ``identity`` in ``scene`` as a (size, size, 3) uint8 RGB picture; same arguments, same pixels.

    Raises:
        InputError: ``size`` is not between 32 and 4096.
    """
    if not 32 <= size <= 4096:
        raise InputError(f"size {size} is out of range; ask for 32 to 4096 pixels")
    canvas = int(size * (1.75 if size <= 320 else 1.5))
    stage = _build(identity, scene)
    scale = _SHARE[scene.framing] * scene.zoom * canvas / _FACE_HEIGHT
    camera = _Camera(
        canvas,
        scale,
        (
            canvas * (0.5 + scene.offset[0]) - 0.32 * np.sin(np.radians(scene.yaw)) * scale,
            canvas * (_CENTRE_Y[scene.framing] + scene.offset[1]),
        ),
    )
    screen = camera.project(stage.mesh.points)
    depth, index, weight = rasterise(screen, stage.mesh.tris, canvas)
    image = background(scene, canvas)
    mesh = stage.mesh
    shade(
        index,
        weight,
        _open_share(depth, camera.scale),
        mesh.tris,
        mesh.material,
        mesh.normals,
        mesh.uv,
        stage.face,
        colors_of(identity, scene),
        lights_of(scene, np.ascontiguousarray(stage.turn[:, 1])),
        CLOTHES.index(scene.clothes),
        0.75 / camera.scale,
        image,
    )
    truth = _truth(identity, scene, stage, camera, depth, size / canvas)
    return Rendering(_develop(image, scene, size), truth)


def _build(identity: Identity, scene: Scene) -> _Stage:
    face = face_vector(identity, scene)
    turn = head_turn(scene.yaw, scene.pitch, scene.roll)
    head = [head_patch(face, m.FACE), *hair_patches(identity, face), *ear_patches(face)]
    head += [*beard_patches(identity, face), *glasses_patches(identity, face)]
    patches = [Patch(patch.points @ turn.T, patch.uv, patch.material) for patch in head]
    body_turn = about_y(float(np.clip(scene.yaw, -90.0, 90.0)) * 0.45)
    body = torso_patches(identity, scene)
    patches += [Patch(patch.points @ body_turn.T, patch.uv, patch.material) for patch in body]
    raised = dict(hand_places(scene))
    hands = []
    for side in (-1.0, 1.0):
        wrist = raised.get(side)
        local = None if wrist is None else body_turn.T @ wrist
        arm = arm_patches(identity, scene, side, local)
        patches += [Patch(patch.points @ body_turn.T, patch.uv, patch.material) for patch in arm]
        if wrist is not None:
            tilt = float(np.random.default_rng(scene.background_seed + 31).uniform(-8.0, 8.0))
            fingers = hand_patches(side, wrist, tilt)
            hands.append(np.concatenate([patch.points.reshape(-1, 3) for patch in fingers]))
            patches += fingers
    return _Stage(join(patches), turn, face, hands)


def _open_share(depth: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """How open each pixel is to the light around it: darker where the neighbourhood lies nearer the viewer."""
    small = cv2.resize(depth, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_NEAREST)
    filled = np.where(small < _FAR, np.float32(-1.2), np.maximum(small, -1.2))
    out = np.ones_like(filled)
    for radius, strength in ((0.10, 1.5), (0.28, 0.55)):
        blurred = cv2.GaussianBlur(filled, (0, 0), max(0.6, radius * scale / 4))
        out -= strength * np.clip(blurred - filled, 0.0, 0.45)
    # the background would otherwise bleed its darkness into the outline of what stands before it
    out = np.where(small < _FAR, np.float32(1.0), np.clip(out, 0.35, 1.0))
    side = depth.shape[0]
    return np.asarray(cv2.resize(out, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def _develop(image: NDArray[np.float32], scene: Scene, size: int) -> NDArray[np.uint8]:
    """Reduce to the asked size, then gamma, blur and noise."""
    small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    value: NDArray[np.float32] = np.asarray(np.sqrt(np.clip(small, 0.0, 1.0)) * 255.0, np.float32)
    if scene.blur > 0.0:
        value = np.asarray(cv2.GaussianBlur(value, (0, 0), scene.blur * size / 256.0), np.float32)
    if scene.noise > 0.0:
        rng = np.random.default_rng(scene.background_seed + 41)
        value = np.asarray(value + rng.normal(0.0, scene.noise, value.shape), np.float32)
    return np.asarray(np.clip(value + 0.5, 0.0, 255.0), np.uint8)


def _truth(
    identity: Identity, scene: Scene, stage: _Stage, camera: _Camera, depth: NDArray[np.float32], back: float
) -> Truth:
    face, turn = stage.face, stage.turn
    world = face_points(face) @ turn.T
    marks = camera.project(world)
    seen = np.array([_is_seen(mark, depth) for mark in marks])
    outline = camera.project(outline_points(face) @ turn.T)[:, :2] * back
    eyes = [_eye_box(face, turn, camera, side) for side in (-1.0, 1.0)]
    hands = [_box(camera.project(points)[:, :2] * back) for points in stage.hands]
    size = camera.size * back
    return Truth(
        face_box=_box(outline),
        landmarks=marks[:, :2] * back,
        landmarks_visible=seen,
        yaw=scene.yaw,
        pitch=scene.pitch,
        roll=scene.roll,
        hand_boxes=[box for box in (_clipped(hand, size) for hand in hands) if box is not None],
        eye_boxes=[_box(points * back) for points, ok in zip(eyes, seen[:2], strict=True) if ok],
        identity=identity,
        scene=scene,
    )


def _is_seen(mark: Array, depth: NDArray[np.float32]) -> bool:
    x, y = int(mark[0]), int(mark[1])
    if not (0 <= x < depth.shape[1] and 0 <= y < depth.shape[0]):
        return False
    return bool(mark[2] > depth[y, x] - 0.06)


def _eye_box(face: Array, turn: Array, camera: _Camera, side: float) -> Array:
    points = []
    for angle in np.linspace(0.0, 2 * np.pi, 12, endpoint=False):
        u = side * (face[f.EYE_U] + face[f.EYE_HW] * np.cos(angle))
        v = face[f.EYE_V] + face[f.EYE_HH] * np.sin(angle)
        points.append(head_point(float(u / np.cos(v)), float(v), face))
    return camera.project(np.array(points) @ turn.T)[:, :2]


def _box(points: Array) -> Box:
    x0, y0 = points.min(axis=0)
    x1, y1 = points.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def _clipped(box: Box, size: float) -> Box | None:
    """The part of a box inside the picture, or None where less than a fifth of it is."""
    x0, y0, x1, y1 = box
    inside = (max(0.0, x0), max(0.0, y0), min(size, x1), min(size, y1))
    wide, high = inside[2] - inside[0], inside[3] - inside[1]
    if wide <= 0 or high <= 0 or wide * high < 0.2 * (x1 - x0) * (y1 - y0):
        return None
    return inside
