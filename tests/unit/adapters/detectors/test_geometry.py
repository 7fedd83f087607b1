"""Crops, boxes, poses and rules: arithmetic that needs no model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinloop.adapters.detectors.blendshapes import BLENDSHAPES, SUBSET
from twinloop.adapters.detectors.expressions import expression_scores, eyes_open
from twinloop.adapters.detectors.imaging import RotatedCrop, anchor_centers, keep_best, letterbox, sigmoid, similarity
from twinloop.adapters.detectors.landmark_pose import MEAN_FACE, pose_of
from twinloop.adapters.detectors.mediapipe_face import corner_height
from twinloop.adapters.detectors.mediapipe_hands import PALM_GRIDS, palm_crop
from twinloop.adapters.detectors.sunglasses import EyeLight, eye_light, lenses
from twinloop.adapters.detectors.yolov8 import decode as decode_v8
from twinloop.adapters.detectors.yunet import decode as decode_yunet
from twinloop.facets import expression


def turned(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """The mean face's five points after a turn in our convention, orthographic, at 2 px per mm."""
    y, p, r = (math.radians(v) for v in (yaw, pitch, roll))
    about_y = np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(p), -math.sin(p)], [0, math.sin(p), math.cos(p)]])
    about_z = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    return (2 * (MEAN_FACE @ (about_z @ about_x @ about_y).T)[:, :2] + 100).astype(np.float32)


@given(yaw=st.floats(-85, 85), pitch=st.floats(-40, 40), roll=st.floats(-60, 60))
@settings(max_examples=60, deadline=None)
def test_landmark_pose_inverts_the_projection(yaw: float, pitch: float, roll: float) -> None:
    pose = pose_of(turned(yaw, pitch, roll))
    assert pose is not None
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((yaw, pitch, roll), abs=0.5)


def test_signs_of_the_convention() -> None:
    assert turned(40, 0, 0)[2, 0] > turned(0, 0, 0)[2, 0] - 1e-3  # the nose tip is the origin: compare with the eyes
    eyes = turned(40, 0, 0)[:2].mean(axis=0)
    assert turned(40, 0, 0)[2, 0] > eyes[0]


def test_collapsed_landmarks() -> None:
    assert pose_of(np.zeros((5, 2), np.float32)) is None


@given(angle=st.floats(-3, 3), scale=st.floats(0.2, 5), dx=st.floats(-50, 50))
@settings(max_examples=40, deadline=None)
def test_similarity_is_recovered(angle: float, scale: float, dx: float) -> None:
    points = np.array([[0, 0], [10, 2], [3, 8], [7, 7]], np.float32)
    rotation = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    target = (points @ rotation.T + [dx, -dx]).astype(np.float32)
    matrix = similarity(points, target)
    assert points @ matrix[:, :2].T + matrix[:, 2] == pytest.approx(target, abs=1e-2)


@pytest.mark.parametrize("shape", [(60, 64), (64, 60), (640, 100), (7, 500)])
def test_letterbox_goes_back(shape: tuple[int, int]) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    canvas, fitted = letterbox(image, 320, 320, fill=114)
    assert canvas.shape == (320, 320, 3)
    middle = fitted.back(np.array([[160, 160]], np.float32))[0]
    assert middle == pytest.approx([shape[1] / 2, shape[0] / 2], abs=1.0 / fitted.scale)


def test_rotated_crop_and_its_points() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[30, 60] = 255
    for angle in (0.0, 0.7, -2.0):
        crop = RotatedCrop((55.0, 35.0), 40.0, angle)
        cut = crop.cut(image, 80)
        row, column = np.unravel_index(int(cut[..., 0].argmax()), (80, 80))
        back = crop.to_image(np.array([[column / 80, row / 80]], np.float32))[0]
        assert back == pytest.approx([60, 30], abs=1.0)


def test_a_strongly_shrunk_crop_stays_in_place() -> None:
    rows, columns = np.mgrid[0:1000, 0:1200]
    image = np.stack([rows // 4, columns // 5, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    for center in ((600.0, 500.0), (100.0, 900.0)):
        cut = RotatedCrop(center, 400.0, 0.4).cut(image, 40)
        assert cut[20, 20, :2].astype(int) == pytest.approx([center[1] / 4, center[0] / 5], abs=3)
    assert not RotatedCrop((-900.0, 5.0), 400.0, 0.0).cut(image, 40).any()


def test_suppression() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [50, 50, 60, 60]], np.float32)
    assert keep_best(boxes, np.array([0.5, 0.9, 0.7], np.float32), 0.4) == [1, 2]
    assert keep_best(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 0.4) == []


def test_a_sigmoid_neither_overflows_nor_changes_its_precision() -> None:
    logits = np.array([-1e6, -60, -30, 0, 2, 1e6], np.float32)
    with np.errstate(all="raise"):
        found = sigmoid(logits)
    assert found.dtype == np.float32 and found == pytest.approx([0, 0, 0, 0.5, 1 / (1 + np.exp(-2)), 1], abs=1e-7)
    assert found[0] == found[1] < found[2] and len(set(sigmoid(logits, limit=30)[:3])) == 1


def test_palm_anchors_and_crop() -> None:
    anchors = anchor_centers(PALM_GRIDS)
    assert anchors.shape == (2016, 2)
    assert anchors[0] == pytest.approx([0.5 / 24, 0.5 / 24]) and anchors[1151] == pytest.approx([23.5 / 24] * 2)
    upright = palm_crop(
        np.array([10, 10, 30, 30], np.float32), np.array([20, 30], np.float32), np.array([20, 10], np.float32)
    )
    assert (
        upright.angle == pytest.approx(0.0)
        and upright.center == pytest.approx((20, 10))
        and upright.side == pytest.approx(52)
    )
    right = palm_crop(
        np.array([10, 10, 30, 30], np.float32), np.array([10, 20], np.float32), np.array([30, 20], np.float32)
    )
    assert right.angle == pytest.approx(math.pi / 2) and right.center == pytest.approx((30, 20))


def test_yunet_decode() -> None:
    outputs = {}
    for stride in (8, 16, 32):
        cells = (64 // stride) ** 2
        outputs |= {
            f"{head}_{stride}": np.zeros((1, cells, n), np.float32)
            for head, n in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
        }
    outputs["cls_16"][0, 6] = outputs["obj_16"][0, 6] = 0.81
    outputs["kps_16"][0, 6, :2] = (0.5, 1.0)
    found = decode_yunet(outputs, {8: 8, 16: 4, 32: 2})
    best = int(found.scores.argmax())
    assert found.scores[best] == pytest.approx(0.81)
    assert found.boxes[best] == pytest.approx([24, 8, 40, 24])  # column 2, row 1, one cell wide
    assert found.landmarks[best, 0] == pytest.approx([40, 32])


def test_yolov8_decode() -> None:
    raw = np.zeros((6, 10), np.float32)
    raw[:, 3] = (50, 40, 20, 10, 0.2, 0.9)
    boxes, scores = decode_v8(raw, 0.5, (0, 1))
    assert boxes.tolist() == [[40, 35, 60, 45]] and scores == pytest.approx([0.9])


def shapes(**values: float) -> dict[str, float]:
    return {name: values.get(name, 0.0) for name in BLENDSHAPES}


def both(name: str, value: float) -> dict[str, float]:
    return {f"{name}Left": value, f"{name}Right": value}


AT_REST, RAISED, LOWERED = -0.06, -0.01, -0.1
"""Heights of the mouth's corners."""
GRIN = {**both("mouthSmile", 0.9), **both("mouthUpperUp", 0.7)}


def moods(given_shapes: dict[str, float], corners: float = AT_REST, eyes: float = 0.27) -> dict[str, float]:
    scores = expression_scores(shapes(**given_shapes), eyes, corners, covered=False)
    return {name.removeprefix("expression."): p for name, p in scores.items() if name.startswith("expression.")}


@pytest.mark.parametrize(
    ("given_shapes", "corners", "wanted"),
    [
        ({}, AT_REST, "neutral"),
        (both("mouthSmile", 0.8), -0.04, "smile"),
        (both("mouthSmile", 0.5), RAISED, "smile"),
        (both("mouthSmile", 0.4), LOWERED, "neutral"),  # the shape of this mouth
        ({**GRIN, "jawOpen": 0.1}, RAISED, "smile"),
        ({**GRIN, "jawOpen": 0.4}, RAISED, "laughing"),
        (
            {**both("mouthSmile", 0.7), **both("mouthUpperUp", 0.7)},
            LOWERED,
            "smile",
        ),  # the upper lip is up, not the corners down
        ({**both("mouthSmile", 0.98), **both("mouthUpperUp", 0.9), **both("mouthLowerDown", 0.6)}, RAISED, "smile"),
        ({"jawOpen": 0.5, "browInnerUp": 0.6, **both("eyeWide", 0.4)}, AT_REST, "surprised"),
        ({**both("browDown", 0.3), **both("mouthUpperUp", 0.6)}, AT_REST, "angry"),
        ({**both("browDown", 0.4), "mouthShrugUpper": 0.26}, AT_REST, "angry"),
        ({**both("browDown", 0.8), "mouthShrugLower": 0.9}, AT_REST, "serious"),
        ({**both("browDown", 0.7), **both("mouthSmile", 0.9)}, RAISED, "smile"),
    ],
)
def test_expression_rules(given_shapes: dict[str, float], corners: float, wanted: str) -> None:
    scores = moods(given_shapes, corners)
    best = max(scores, key=lambda name: scores[name])
    assert best == wanted and scores[best] >= expression.AT_LEAST


def test_wide_eyes_are_a_sign_of_surprise() -> None:
    astonished = {"jawOpen": 0.3, "browInnerUp": 0.6}
    assert moods(astonished, eyes=0.4)["surprised"] > 0.9
    assert max(moods(astonished, eyes=0.27).values()) < expression.AT_LEAST  # raises the brows and speaks


@pytest.mark.parametrize(
    ("doubtful", "corners"),
    [
        (both("browDown", 0.55), AT_REST),  # low brows, sun, glasses, a bowed head
        ({**both("browDown", 0.9), "jawOpen": 0.05}, AT_REST),
        ({"jawOpen": 0.4}, AT_REST),  # speaks
        ({"jawOpen": 0.2, **both("browDown", 0.5)}, AT_REST),
        ({"jawOpen": 0.3, **both("mouthSmile", 0.75)}, RAISED),  # speaks with raised corners
        (both("mouthSmile", 0.45), -0.04),  # a soft smile, or the shape of the mouth
        (both("mouthSmile", 0.6), -0.05),  # a broad mouth, a beard
        (both("mouthUpperUp", 0.4), AT_REST),
        (both("mouthPress", 0.6), AT_REST),
        ({**both("browDown", 0.7), **both("mouthPress", 0.6)}, AT_REST),
        ({**GRIN, **both("mouthLowerDown", 0.6), "jawOpen": 0.15}, RAISED),  # bares both rows: strains
        ({**GRIN, **both("mouthLowerDown", 0.6), "jawOpen": 0.3}, RAISED),
        (both("mouthFrown", 0.3), AT_REST),
        (both("mouthDimple", 0.3), AT_REST),
    ],
)
def test_what_is_doubtful_is_not_named(doubtful: dict[str, float], corners: float) -> None:
    assert max(moods(doubtful, corners).values()) < expression.AT_LEAST, moods(doubtful, corners)


def test_behind_dark_lenses_only_the_mouth_counts() -> None:
    frown = {**both("browDown", 0.9), "mouthShrugUpper": 0.9}
    assert moods(frown)["angry"] > 0.9
    behind = expression_scores(shapes(**frown), 0.27, AT_REST, covered=True)
    assert max(p for name, p in behind.items() if name.startswith("expression.")) < expression.AT_LEAST
    smile = expression_scores(shapes(**both("mouthSmile", 0.9)), 0.27, RAISED, covered=True)
    assert smile["expression.smile"] > 0.9


def face_with_mouth(corners: float) -> np.ndarray:
    """Mesh points of an upright face of 100 px: nose at 60, lips at 76, the mouth's corners at ``corners``."""
    points = np.zeros((478, 2), np.float32)
    for at, place in {
        33: (30, 40), 133: (42, 40), 362: (58, 40), 263: (70, 40), 2: (50, 60), 13: (50, 75), 14: (50, 77),
        61: (40, corners), 291: (60, corners), 10: (50, 10), 152: (50, 110),
    }.items():  # fmt: skip
        points[at] = place
    return points


@given(angle=st.floats(-1.0, 1.0), scale=st.floats(0.3, 4), corners=st.floats(66, 84))
@settings(max_examples=30, deadline=None)
def test_the_height_of_the_corners_knows_neither_roll_nor_scale(angle: float, scale: float, corners: float) -> None:
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    turned_face = (face_with_mouth(corners) @ turn.T).astype(np.float32)
    assert corner_height(turned_face) == pytest.approx((68 - corners) / 100, abs=1e-3)


def test_a_laugh_is_not_closed_eyes() -> None:
    assert eyes_open(0.27, 0.0) > 0.95 and eyes_open(0.07, 0.0) < 0.05
    assert eyes_open(0.12, 0.9) > 0.5 > eyes_open(0.12, 0.0)
    assert eyes_open(0.07, 0.9) < 0.5


def test_blendshape_tables() -> None:
    assert len(SUBSET) == len(set(SUBSET)) == 146 and tuple(sorted(SUBSET)) == SUBSET
    assert len(BLENDSHAPES) == len(set(BLENDSHAPES)) == 52


def eyes_in(grey: int, white: int = 180) -> EyeLight | None:
    """The eye light of a face of skin 180 whose eye regions are ``grey``, with ``white`` between the lids."""
    points = np.tile(np.array([50.0, 50.0], np.float32), (478, 1))
    for left, lids in ((20, (33, 160, 158, 133, 153, 144)), (60, (362, 385, 387, 263, 373, 380))):
        rim = ((0, 40), (7, 37), (13, 37), (20, 40), (13, 43), (7, 43))
        points[list(lids)] = [(left + x, y) for x, y in rim]
    points[50], points[280], points[151] = [30, 70], [70, 70], [50, 15]
    image = np.full((100, 100, 3), 180, np.uint8)
    image[30:52, 10:90] = grey
    for left in (20, 60):
        image[36:45, left : left + 21 : 3] = white
    return eye_light(image, points)


@pytest.mark.parametrize(
    ("grey", "white", "hidden"),
    [
        (180, 180, False),
        (8, 8, True),
        (36, 40, True),  # a lens that mirrors the sky
        (36, 90, False),  # the shade of a cap: the whites are still brighter
        (80, 80, False),  # shut lids, dark skin
    ],
)
def test_dark_lenses(grey: int, white: int, hidden: bool) -> None:
    light = eyes_in(grey, white)
    assert light is not None and (lenses(light) > 0.8) is hidden and (lenses(light) < 0.2) is not hidden


def test_in_the_dark_nothing_is_said_of_lenses() -> None:
    assert eye_light(np.zeros((100, 100, 3), np.uint8), np.full((478, 2), 50.0, np.float32)) is None
