"""MediaPipe face landmarker: 478-point mesh and 52 blendshapes out of the ``.task`` bundle.

The bundle holds TFLite nets; OpenCV reads them itself, so no further library is needed.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from twinloop.adapters.detectors.blendshapes import BLENDSHAPES, SUBSET
from twinloop.adapters.detectors.expressions import expression_scores
from twinloop.adapters.detectors.imaging import RotatedCrop
from twinloop.adapters.detectors.sunglasses import LIDS, eye_light, lenses
from twinloop.domain.faces import Face, FloatArray, ImageArray
from twinloop.errors import ModelFileError
from twinloop.store.models.content import Content, read_model_bytes

_SIZE = 192
_MESH_FILE = "face_landmarks_detector.tflite"
_SHAPES_FILE = "face_blendshapes.tflite"
_PRESENCE = 0.5
"""Least mesh presence to measure at all."""
_MAX_NET = 64 * 1024 * 1024
_VERSION = 3

_EYE_CORNERS = ((33, 133), (263, 362))
"""Mesh points."""
_NOSE, _SEAM, _MOUTH_CORNERS = (2,), (13, 14), (61, 291)
_FOREHEAD, _CHIN = 10, 152


@dataclass(frozen=True, eq=False)
class Mesh:
    """A fitted face mesh.

    Attributes:
        points: (478, 2) pixels of the image. presence: 0..1, how sure the net is that a face fills the crop.
    """

    points: FloatArray
    presence: float


def eye_aspect_ratio(points: FloatArray, eye: tuple[int, ...]) -> float:
    """Lid opening over eye width (Soukupova and Cech 2016): about 0.27 open, 0.07 closed."""
    outer, up1, up2, inner, low2, low1 = (points[index] for index in eye)
    width = float(np.linalg.norm(outer - inner))
    return float(np.linalg.norm(up1 - low1) + np.linalg.norm(up2 - low2)) / (2 * width) if width > 0 else 0.0


def corner_height(points: FloatArray) -> float:
    """How far the mouth's corners lie above the middle between nose and lips, in heights of the face: about -0.06 at
    rest, -0.03 in a soft smile.
    """
    angle = _roll(points)
    down = np.array([-math.sin(angle), math.cos(angle)])
    nose, seam, corners = (float((points[list(at)] @ down).mean()) for at in (_NOSE, _SEAM, _MOUTH_CORNERS))
    height = float(np.linalg.norm(points[_FOREHEAD] - points[_CHIN]))
    return ((nose + seam) / 2 - corners) / height if height > 0 else 0.0


class MediaPipeFace:
    """Measures eyes and expression on the subject's face.

    Args:
        task: ``face_landmarker*.task`` with blendshapes.

    Raises:
        ModelFileError: not such a bundle.
    """

    covers = frozenset({"eyes", "expression"})

    def __init__(self, task: Path) -> None:
        data = read_model_bytes(task, Content.TASK)
        self._mesh_net = load_net(data, _MESH_FILE, task.name)
        self._shape_net = load_net(data, _SHAPES_FILE, task.name)
        self._hash = hashlib.sha256(data).hexdigest()[:12]

    @property
    def fingerprint(self) -> str:
        return f"mediapipe-face{_VERSION}-{self._hash}-{_PRESENCE:g}"

    def measure(self, image: ImageArray, face: Face | None) -> Mapping[str, float]:
        """``eyes_open``, ``sunglasses``, ``smile``, ``jaw_open``, ``brow_up``, ``brow_down``, ``expression.*``,
        ``mesh_presence``.

        ``eyes_open`` is low for closed eyes and behind dark lenses.

        Empty when there is no face or the mesh does not settle on it (extreme profiles, hidden faces).
        """
        mesh = None if face is None else self.mesh(image, face)
        if mesh is None or mesh.presence < _PRESENCE:
            return {}
        shapes = self.blendshapes(mesh)
        # the farther eye of a turned head is drawn, not seen: take the more open one
        ratio = max(eye_aspect_ratio(mesh.points, eye) for eye in LIDS)
        light = eye_light(image, mesh.points)
        hidden = 0.0 if light is None else lenses(light)
        scores = expression_scores(shapes, ratio, corner_height(mesh.points), covered=hidden >= 0.5)
        if light is not None:
            scores["sunglasses"] = hidden
            scores["eyes_open"] = min(scores["eyes_open"], 1.0 - hidden)
        return {"mesh_presence": mesh.presence, "eye_aspect_ratio": ratio, **scores}

    def mesh(self, image: ImageArray, face: Face) -> Mesh | None:
        """Fit the mesh, first around the detector's box, then around the mesh itself."""
        angle = 0.0
        if face.landmarks is not None:
            across = face.landmarks[1] - face.landmarks[0]
            angle = math.atan2(float(across[1]), float(across[0])) if np.linalg.norm(across) > 1 else 0.0
            # in profile the two eyes nearly coincide and say nothing about roll
            angle = angle if abs(angle) < 1.2 else 0.0
        side = max(face.box.width, face.box.height) * 1.5
        if side < 12:
            return None
        first = self._fit(image, RotatedCrop(face.box.center, side, angle))
        if first.presence < 0.1:
            return first
        low, high = first.points.min(axis=0), first.points.max(axis=0)
        center = (low + high) / 2
        crop = RotatedCrop((float(center[0]), float(center[1])), float((high - low).max()) * 1.5, _roll(first.points))
        second = self._fit(image, crop)
        return second if second.presence >= first.presence else first

    def _fit(self, image: ImageArray, crop: RotatedCrop) -> Mesh:
        tensor = crop.cut(image, _SIZE).astype(np.float32).transpose(2, 0, 1)[None] / 255.0
        self._mesh_net.setInput(np.ascontiguousarray(tensor))
        outputs = self._mesh_net.forward(self._mesh_net.getUnconnectedOutLayersNames())
        points = next(o for o in outputs if o.size == 478 * 3).reshape(478, 3)[:, :2]
        logit = float(next(o for o in outputs if o.size == 1).ravel()[0])
        presence = 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, logit))))
        return Mesh(crop.to_image((points / _SIZE).astype(np.float32)), presence)

    def blendshapes(self, mesh: Mesh) -> dict[str, float]:
        """The 52 blendshape scores 0..1 by their ARKit names."""
        self._shape_net.setInput(np.ascontiguousarray(mesh.points[list(SUBSET)][None].astype(np.float32)))
        values = self._shape_net.forward().ravel()
        return {name: float(value) for name, value in zip(BLENDSHAPES, values, strict=True)}


def _roll(points: FloatArray) -> float:
    left, right = (points[list(corners)].mean(axis=0) for corners in _EYE_CORNERS)
    return math.atan2(float(right[1] - left[1]), float(right[0] - left[0]))


def load_net(bundle: bytes, member: str, source: str) -> cv2.dnn.Net:
    """One of the networks in a ``.task`` bundle.

    Raises:
        ModelFileError: it is not there or cannot be read.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
            if archive.getinfo(member).file_size > _MAX_NET:
                raise ModelFileError(f"{source}: {member} is far too large for what it is; download it again")
            data = archive.read(member)
        return cv2.dnn.readNetFromTFLite(np.frombuffer(data, dtype=np.uint8))
    except KeyError as error:
        raise ModelFileError(
            f"{source}: holds no {member}. Use face_landmarker_v2_with_blendshapes.task (it has mesh and blendshapes)."
        ) from error
    except (zipfile.BadZipFile, cv2.error) as error:
        raise ModelFileError(f"{source}: cannot be read ({str(error)[:120]}). Download it again.") from error
