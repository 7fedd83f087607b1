"""The faces of one photo: found on a smaller picture, looked at in the best there is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from twinloop.domain.faces import Box, Face, ImageArray
from twinloop.domain.vault import VaultFace
from twinloop.ports import DetectorPack
from twinloop.stages import pixels
from twinloop.stages.vault.closer_look import detect
from twinloop.store.pictures.photo_file import Pixels

EMBED_SIDE = 40
"""Smaller side of a face's box, in pixels of the photo, from which it gets an embedding."""
FINE_SIDE = 160
"""Where a face of the smaller picture has fewer pixels, it is cut from the full-size one: embedders look at 112."""
MEASURED_FACES = 4
"""Of so many of the largest faces eyes, expression and the like are measured; the rest of a crowd gets its embedding
only."""
SURE = 0.6
"""Confidence from which a face is believed at once."""
TURNED = 25.0
"""Degrees of yaw from which a lower confidence is believed as well: small detectors score profiles about 0.3 lower."""
PROFILE_LOSS = 0.29
"""Share of its confidence that a small detector loses between a frontal face (0.87) and a profile (0.62)."""
_OF_PHOTO = ("setting.", "lighting.")


@dataclass(frozen=True)
class FaceFinder:
    """Finds and measures faces. ``min_face``: least height of a box in pixels of the photo."""

    pack: DetectorPack
    min_face: int

    def find(self, seen: Pixels) -> tuple[tuple[VaultFace, ...], dict[str, float]]:
        """The faces in pixels of the photo, largest and surest first; and what the measurers say of the photo as a
        whole.
        """
        found = [] if self.pack.faces is None else detect(self.pack.faces, seen.small)
        to_photo = seen.width / seen.small.shape[1]
        kept = sorted(
            (face for face in found if face.box.height * to_photo >= self.min_face),
            key=lambda face: -face.box.area * face.confidence,
        )
        if any(min(face.box.width, face.box.height) < FINE_SIDE for face in kept) and to_photo > 1:
            image = seen.full()
            kept = [_scaled(face, to_photo) for face in kept]
            to_photo = 1.0
        else:
            image = seen.small
        posed = [self._posed(image, face) for face in kept]
        believed = [face for face in posed if believable(face)]
        per_face = [self._read(image, face) for face in believed[:MEASURED_FACES]] or [self._read(image, None)]
        of_photo = {name: value for name, value in per_face[0].items() if name.startswith(_OF_PHOTO)}
        faces = [
            self._complete(image, face, to_photo, per_face[number] if number < MEASURED_FACES else {})
            for number, face in enumerate(believed)
        ]
        return tuple(faces), of_photo

    def _posed(self, image: ImageArray, face: Face) -> Face:
        if self.pack.pose is None or face.pose is not None:
            return face
        return dataclasses.replace(face, pose=self.pack.pose.pose(image, face))

    def _read(self, image: ImageArray, face: Face | None) -> dict[str, float]:
        return {
            name: float(value) for reader in self.pack.measurers for name, value in reader.measure(image, face).items()
        }

    def _complete(self, image: ImageArray, face: Face, to_photo: float, read: Mapping[str, float]) -> VaultFace:
        numbers = pixels.face_measures(image, face.box)
        measures = {name: value for name, value in read.items() if not name.startswith(_OF_PHOTO)}
        measures.update(
            {
                new: numbers[old]
                for old, new in (("face_sharpness", "sharpness"), ("face_brightness", "brightness"))
                if old in numbers
            }
        )
        side = min(face.box.width, face.box.height) * to_photo
        if self.pack.embedder is not None and side >= EMBED_SIDE:
            face = dataclasses.replace(face, embedding=self.pack.embedder.embed(image, face))
        return VaultFace(_scaled(face, to_photo), quality(face, side, measures.get("sharpness", 0.0)), measures)


def _scaled(face: Face, factor: float) -> Face:
    box, marks = face.box, face.landmarks
    return dataclasses.replace(
        face,
        box=Box(*(value * factor for value in (box.x0, box.y0, box.x1, box.y1))),
        landmarks=None if marks is None else np.asarray(marks * factor, np.float32),
    )


def corrected_confidence(face: Face) -> float:
    """The detector's score, 0..1, with what it holds against turned heads given back."""
    yaw = 0.0 if face.pose is None else min(90.0, abs(face.pose.yaw))
    return min(1.0, face.confidence / (1.0 - PROFILE_LOSS * yaw / 90.0))


def believable(face: Face) -> bool:
    """Whether it is a face: a sure one, or a turned one whose landmarks lie as those of a face do."""
    if face.confidence >= SURE:
        return True
    turned = face.pose is not None and abs(face.pose.yaw) >= TURNED
    return turned and corrected_confidence(face) >= SURE - 0.1 and plausible_landmarks(face)


def plausible_landmarks(face: Face) -> bool:
    """Whether the five points lie in the box, eyes over mouth, and are not all in one place;
    True where there are none.
    """
    if face.landmarks is None:
        return True
    marks, room = np.asarray(face.landmarks, np.float64), face.box.expanded(0.2)
    inside = (marks[:, 0] >= room.x0) & (marks[:, 0] <= room.x1) & (marks[:, 1] >= room.y0) & (marks[:, 1] <= room.y1)
    down = marks[3:].mean(axis=0) - marks[:2].mean(axis=0)
    return bool(inside.all()) and float(np.hypot(*down)) >= 0.2 * face.box.height


def quality(face: Face, side: float, sharpness: float) -> float:
    """How far an embedding of the face can be trusted, 0..1: the product of its size, its sharpness and the detector's
    confidence.

    Args:
        side: smaller side of the box in pixels of the photo. sharpness: Laplacian variance of the face at 112 px.
    """
    size = min(1.0, max(0.0, side - 16.0) / 80.0)
    sharp = sharpness / (sharpness + 40.0)
    return float(size * sharp * corrected_confidence(face))
