"""eDifFIQA's input and output, on a stand-in: its file is not here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.unit.adapters.detectors.onnx_files import quality_onnx
from twinloop.adapters.detectors.face_quality import EDifFiqa
from twinloop.domain.embedders import TEMPLATE
from twinloop.domain.faces import Box, Face, FloatArray, ImageArray

WHOLE = Face(Box(50, 50, 150, 150), 0.9)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def opened(folder: Path, gain: float = 1.0) -> EDifFiqa:
    path = folder / "ediffiqa_tiny.onnx"
    path.write_bytes(quality_onnx(gain=gain))
    return EDifFiqa(path)


def painted(red: int, green: int, blue: int) -> ImageArray:
    return np.broadcast_to(np.array([red, green, blue], np.uint8), (240, 240, 3)).copy()


def test_the_first_channel_is_red_and_the_scale_goes_from_minus_one_to_one(folder: Path) -> None:
    net = opened(folder)
    assert net.measure(painted(51, 255, 204), WHOLE) == {"face_quality": pytest.approx(0.2, abs=1e-4)}
    assert net.measure(painted(255, 0, 0), WHOLE) == {"face_quality": pytest.approx(1.0, abs=1e-4)}


def test_the_landmarks_are_brought_to_the_points_that_the_network_knows(folder: Path) -> None:
    """A face that lies turned by 90 degrees in a dark picture: only its own square is bright."""
    picture = painted(0, 0, 0)
    picture[64:176, 64:176] = 255
    upright: FloatArray = np.array(TEMPLATE, np.float32)
    turned = np.stack([64 + 112 - upright[:, 1], 64 + upright[:, 0]], axis=1).astype(np.float32)
    far_box = Box(0, 0, 60, 60)
    found = opened(folder).measure(picture, Face(far_box, 0.9, turned))
    assert found["face_quality"] > 0.97
    assert opened(folder).measure(picture, Face(far_box, 0.9))["face_quality"] < 0.1, "without landmarks by its box"


def test_a_number_outside_of_the_scale_is_held_in_it_and_none_is_no_measure(folder: Path) -> None:
    white = painted(255, 255, 255)
    assert opened(folder, gain=1.3).measure(white, WHOLE) == {"face_quality": 1.0}
    assert opened(folder, gain=-1.0).measure(white, WHOLE) == {"face_quality": 0.0}
    assert opened(folder, gain=float("inf")).measure(white, WHOLE) == {}


def test_no_face_and_one_that_is_too_small(folder: Path) -> None:
    net = opened(folder)
    assert net.measure(painted(9, 9, 9), None) == {}
    assert net.measure(painted(9, 9, 9), Face(Box(50, 50, 65, 90), 0.9)) == {}


def test_another_content_is_another_ruler(folder: Path) -> None:
    assert opened(folder).fingerprint != opened(folder, gain=0.5).fingerprint
    assert opened(folder).fingerprint == opened(folder).fingerprint
