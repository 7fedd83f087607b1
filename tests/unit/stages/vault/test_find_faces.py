"""Faces: found on a smaller picture and in its quarters, looked at in the best pixels there are, profiles not held
back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.domain.faces import Box, Face, FloatArray, HeadPose, ImageArray
from twinloop.domain.likeness import Likeness
from twinloop.domain.vault import VaultFace
from twinloop.ports import DetectorPack
from twinloop.stages.vault import closer_look
from twinloop.stages.vault.find_faces import (
    EMBED_SIDE,
    MEASURED_FACES,
    FaceFinder,
    believable,
    corrected_confidence,
    plausible_landmarks,
    quality,
)
from twinloop.store.pictures.photo_file import Pixels

GREY = 40


def picture(width: int, height: int, *squares: tuple[int, int, int, int]) -> ImageArray:
    """Grey, with a face at every (x, y, side, brightness)."""
    image = np.full((height, width, 3), GREY, np.uint8)
    for x, y, side, value in squares:
        image[y : y + side, x : x + side] = value
    return image


@dataclass
class Squares:
    """Finds bright squares of at least ``least`` pixels, as a detector that looks at ``side`` pixels would; notes what
    it was shown.
    """

    least: float = 8.0
    side: int = 640
    confidence: float = 0.9
    yaw: float = 0.0
    embedded: list[tuple[int, int]] = field(default_factory=list)
    measured: int = 0
    fingerprint = "squares"
    likeness = Likeness()
    covers = frozenset({"eyes"})

    def detect(self, image: ImageArray) -> list[Face]:
        scale = max(image.shape[:2]) / self.side
        faces = []
        for value in np.unique(image[:, :, 0]):
            ys, xs = np.nonzero(image[:, :, 0] == value)
            box = Box(float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1))
            if value > 100 and box.height / scale >= self.least:
                faces.append(Face(box, self.confidence))
        return faces

    def pose(self, image: ImageArray, face: Face) -> HeadPose | None:
        return HeadPose(self.yaw, 0.0, 0.0)

    def embed(self, image: ImageArray, face: Face) -> FloatArray | None:
        self.embedded.append((image.shape[1], round(face.box.height)))
        return np.array([1.0, 0.0], np.float32)

    def measure(self, image: ImageArray, face: Face | None) -> Mapping[str, float]:
        self.measured += 1
        return {"eyes_open": 1.0, "setting.indoor": 0.5}


def pack(one: Squares) -> DetectorPack:
    return DetectorPack("squares", one, one, (), (one,), one)


def seen(full: ImageArray, scale: int) -> Pixels:
    return Pixels(np.ascontiguousarray(full[::scale, ::scale]), full.shape[1], full.shape[0], None, lambda: full)


def find(full: ImageArray, scale: int = 1, min_face: int = 20, one: Squares | None = None) -> tuple[VaultFace, ...]:
    return FaceFinder(pack(one or Squares()), min_face).find(seen(full, scale))[0]


def test_faces_are_in_pixels_of_the_photo_largest_first() -> None:
    faces = find(picture(800, 600, (400, 120, 80, 200), (40, 40, 200, 220)), scale=2)
    assert [face.face.box for face in faces] == [Box(40, 40, 240, 240), Box(400, 120, 480, 200)]


def test_a_small_face_is_cut_from_the_full_picture_and_a_large_one_is_not() -> None:
    one = Squares()
    find(picture(800, 600, (400, 120, 80, 200)), scale=2, one=one)
    find(picture(1600, 1200, (400, 120, 400, 200)), scale=2, one=one)
    assert one.embedded == [(800, 80), (800, 200)]


def test_faces_under_the_least_height_are_left_out_and_very_small_ones_get_no_embedding() -> None:
    faces = find(
        picture(600, 600, (10, 10, EMBED_SIDE - 1, 150), (100, 10, EMBED_SIDE, 200), (200, 10, 19, 250)), min_face=20
    )
    assert [(round(face.face.box.height), face.face.embedding is not None) for face in faces] == [
        (EMBED_SIDE, True),
        (EMBED_SIDE - 1, False),
    ]


def test_of_a_crowd_the_largest_are_measured_and_all_are_embedded() -> None:
    one = Squares()
    squares = [(10 + 70 * n, 10, 60 - n, 110 + 10 * n) for n in range(8)]
    faces = find(picture(600, 100, *squares), one=one)
    assert len(faces) == len(one.embedded) == 8 and one.measured == MEASURED_FACES
    assert ["eyes_open" in face.measures for face in faces] == [True] * MEASURED_FACES + [False] * (8 - MEASURED_FACES)
    assert all("sharpness" in face.measures and "setting.indoor" not in face.measures for face in faces)


def test_a_photo_without_faces_is_still_measured_as_a_whole() -> None:
    faces, of_photo = FaceFinder(pack(Squares()), 20).find(seen(picture(100, 100), 1))
    assert faces == () and of_photo == {"setting.indoor": 0.5}


def test_an_unsure_profile_is_kept_where_an_unsure_frontal_face_is_not() -> None:
    full = picture(200, 200, (50, 50, 100, 200))
    assert len(find(full, one=Squares(confidence=0.45, yaw=80.0))) == 1
    assert len(find(full, one=Squares(confidence=0.45, yaw=5.0))) == 0
    assert len(find(full, one=Squares(confidence=0.25, yaw=80.0))) == 0


def marks(*points: tuple[float, float]) -> FloatArray:
    return np.array(points, np.float32)


@pytest.mark.parametrize(
    ("points", "plausible"),
    [
        (marks((30, 40), (70, 40), (50, 60), (35, 80), (65, 80)), True),
        (marks((60, 40), (66, 40), (80, 60), (58, 80), (62, 80)), True),
        (marks((30, 40), (70, 40), (50, 60), (35, 80), (190, 80)), False),
        (marks((50, 50), (51, 50), (50, 51), (50, 51), (51, 52)), False),
    ],
)
def test_landmarks_that_could_be_a_face(points: FloatArray, plausible: bool) -> None:
    face = Face(Box(0, 0, 100, 100), 0.5, points, HeadPose(70.0, 0.0, 0.0))
    assert plausible_landmarks(face) is plausible and believable(face) is plausible


@given(st.floats(0, 1), st.floats(-90, 90))
def test_correction_gives_back_and_never_takes(confidence: float, yaw: float) -> None:
    corrected = corrected_confidence(Face(Box(0, 0, 1, 1), confidence, pose=HeadPose(yaw, 0, 0)))
    assert confidence - 1e-9 <= corrected <= 1.0


def test_a_profile_at_its_usual_score_counts_as_a_frontal_face_at_its_own() -> None:
    profile = Face(Box(0, 0, 1, 1), 0.62, pose=HeadPose(-90.0, 0, 0))
    assert corrected_confidence(profile) == pytest.approx(0.87, abs=0.01)


@given(st.floats(0, 500), st.floats(0, 500), st.floats(0, 2000), st.floats(0, 2000))
def test_quality_grows_with_size_and_sharpness(side: float, more: float, sharp: float, sharper: float) -> None:
    face = Face(Box(0, 0, 1, 1), 0.9)
    low, high = quality(face, side, sharp), quality(face, side + more, sharp + sharper)
    assert 0.0 <= low <= high <= 1.0


# the closer look


def boxes(faces: list[Face]) -> list[tuple[float, float]]:
    return sorted((face.box.x0, face.box.y0) for face in faces)


def test_small_faces_of_a_large_picture_are_found_in_its_quarters() -> None:
    image = picture(1600, 1200, (100, 100, 15, 150), (1400, 100, 15, 170), (700, 900, 15, 190), (790, 590, 17, 210))
    detector = Squares(least=8.0)
    assert detector.detect(image) == []
    assert boxes(closer_look.detect(detector, image)) == [(100, 100), (700, 900), (790, 590), (1400, 100)]


def test_a_face_in_several_quarters_is_one_face() -> None:
    image = picture(1600, 1200, (760, 560, 90, 200))
    assert len(closer_look.detect(Squares(), image)) == 1


def test_a_face_on_the_edge_of_a_quarter_is_not_cut() -> None:
    """Quarters end at 960 of 1600: the face lies across that line and whole in its neighbour."""
    image = picture(1600, 1200, (930, 300, 60, 200))
    found = closer_look.detect(Squares(least=20.0, side=640), image)
    assert [face.box for face in found] == [Box(930, 300, 990, 360)]


def test_no_closer_look_at_a_portrait_or_at_a_small_picture() -> None:
    portrait = picture(1600, 1200, (400, 300, 300, 200), (20, 20, 15, 150))
    small = picture(900, 600, (20, 20, 10, 150))
    assert len(closer_look.detect(Squares(), portrait)) == 1
    assert closer_look.detect(Squares(), small) == []


def test_the_surer_of_two_looks_counts() -> None:
    class Twice(Squares):
        def detect(self, image: ImageArray) -> list[Face]:
            whole = max(image.shape[:2]) == 1600
            return [replace(face, confidence=0.5 if whole else 0.8) for face in super().detect(image)]

    found = closer_look.detect(Twice(), picture(1600, 1200, (300, 300, 60, 200)))
    assert [face.confidence for face in found] == [0.8]
