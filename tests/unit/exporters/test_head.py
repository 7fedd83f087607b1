"""Heads: place, size and tilt; and that a cut picture has the eyes where it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.unit.exporters.makers import face, landmarks
from twinloop.domain.faces import Box
from twinloop.exporters.head import Window, cut_head, find_head, proportion_of

WINDOW = Window(heads=2.7, eye_line=0.44)


def dotted(marks: np.ndarray, size: tuple[int, int] = (640, 480)) -> np.ndarray:
    """A grey photo with a red dot on the left eye and a green one on the right."""
    image = Image.new("RGB", size, (90, 90, 90))
    pen = ImageDraw.Draw(image)
    for (x, y), ink in zip(marks[:2], ((255, 0, 0), (0, 255, 0)), strict=True):
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=ink)
    return np.asarray(image)


def dot(picture: Image.Image, channel: int) -> tuple[float, float]:
    """Centre of mass of what stands out in one colour."""
    values = np.asarray(picture.convert("RGB"), np.float64)
    weight = np.clip(values[..., channel] - values[..., 1 - channel] - 40, 0, None)
    rows, columns = np.mgrid[0 : weight.shape[0], 0 : weight.shape[1]]
    return float((columns * weight).sum() / weight.sum() + 0.5), float((rows * weight).sum() / weight.sum() + 0.5)


@pytest.mark.parametrize(("tilt", "apart"), [(0.0, 60.0), (17.0, 60.0), (-25.0, 110.0), (8.0, 40.0)])
def test_the_eyes_are_level_and_where_the_window_says(tilt: float, apart: float) -> None:
    marks = landmarks((300.0, 220.0), apart, tilt)
    head = find_head(face(marks=marks))
    assert head.tilt == pytest.approx(tilt, abs=0.1)
    picture = cut_head(dotted(marks), head, WINDOW, 256)
    left, right = dot(picture, 0), dot(picture, 1)
    x, y = WINDOW.eyes(head, 256)
    assert abs(left[1] - right[1]) < 2.0  # the eye line, in pixels
    assert (left[0] + right[0]) / 2 == pytest.approx(x, abs=1.5)
    assert (left[1] + right[1]) / 2 == pytest.approx(y, abs=1.5)
    assert right[0] - left[0] == pytest.approx(256 / 2.7 / 2, abs=2.0)  # all heads have one size


def test_what_lies_outside_of_the_photo_is_transparent() -> None:
    marks = landmarks((40.0, 220.0), 60.0)
    alpha = np.asarray(cut_head(dotted(marks), find_head(face(marks=marks)), WINDOW, 256))[..., 3]
    assert not alpha[:, :60].any() and alpha[100:200, 128:].all()


def test_the_share_inside_the_photo() -> None:
    head = find_head(face(marks=landmarks((300.0, 300.0), 60.0)))
    assert WINDOW.share_inside(head, 1000, 1000) == 1.0
    assert WINDOW.share_inside(find_head(face(marks=landmarks((0.0, 300.0), 60.0))), 1000, 1000) == pytest.approx(0.5)


def test_a_turned_head_is_measured_by_its_height_and_the_persons_own_proportion() -> None:
    frontal = [face(5.0, landmarks((300, 200), 60.0))]
    proportion = proportion_of([*frontal, face(80.0, landmarks((300, 200), 9.0))])
    assert proportion == pytest.approx(1.0, abs=0.01)
    turned = landmarks((300, 200), 60.0)
    turned[:2, 0] = (298, 302)  # the eyes fall together, the mouth is as far below as before
    profile = find_head(face(80.0, turned), proportion)
    assert profile.size == pytest.approx(find_head(frontal[0], proportion).size, rel=0.03)
    assert profile.tilt == 0.0 and profile.by == "landmarks"


def test_a_turned_head_gets_room_behind_it() -> None:
    right, left = (WINDOW.eyes(find_head(face(yaw)), 100)[0] for yaw in (80.0, -80.0))
    assert left < 50 < right
    assert right - 50 == pytest.approx(50 - left)
    assert WINDOW.eyes(find_head(face(None)), 100)[0] == 50


def test_without_landmarks_the_box_gives_place_and_size() -> None:
    head = find_head(face(0.0, box=Box(100, 100, 200, 250)))
    assert head.by == "box" and head.eyes == (150.0, 160.0)
    assert math.isclose(head.size, 100.5)
