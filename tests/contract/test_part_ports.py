"""What every part detector and every measurer must do whatever its weights are: those from files, and Ultralytics'
networks with random ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import pytest

from tests.contract.ports import MEASURERS, NOTHING, PARTS, Photo
from tests.unit.adapters.detectors.onnx_files import quality_onnx
from twinloop.adapters.detectors.face_quality import EDifFiqa
from twinloop.adapters.detectors.yolov8 import PartsAsEyes, YoloV8Parts
from twinloop.domain.faces import Box, Face, ImageArray
from twinloop.ports import Measurer, PartDetector

Port = TypeVar("Port")
LAYOUTS = {"ultralytics-v8": "8", "ultralytics-11": "11"}
FACE = Face(Box(20, 20, 180, 270), 0.9)
COVERS = {"eyes", "expression", "setting", "lighting", "face_quality"}


@dataclass(frozen=True)
class Case(Generic[Port]):
    """An implementation, opened anew each time, and a picture with something to find."""

    open: Callable[[], Port]
    unseeing: Callable[[], Port]
    picture: ImageArray
    face: Face


def noise() -> ImageArray:
    return np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)


def ultralytics(folder: Path, layout: str, kind: str) -> tuple[Path, Path]:
    """A checkpoint that sees its kind in any picture, and one that sees it in none."""
    pytest.importorskip("torch")
    from tests.helpers import ultralytics_files as ultra

    seeing, blind = folder / f"{kind}_yolo_{layout}.pt", folder / f"{kind}_yolo_{layout}_blind.pt"
    ultra.write_checkpoint(seeing, ultra.network(layout, [kind], seed=1))
    ultra.write_checkpoint(blind, ultra.unseeing(ultra.network(layout, [kind], seed=1)))
    return seeing, blind


@pytest.fixture(scope="module", params=[*PARTS, *LAYOUTS])
def part_case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case[PartDetector]:
    if request.param in LAYOUTS:
        paths = ultralytics(tmp_path_factory.mktemp("parts"), LAYOUTS[request.param], "hand")
        return Case(lambda: YoloV8Parts(paths[0]), lambda: YoloV8Parts(paths[1]), noise(), FACE)
    weights, photo = request.getfixturevalue("fixtures") / "weights", request.getfixturevalue("photo")
    make = PARTS[request.param]
    return Case(lambda: make(weights), lambda: make(weights), photo("human_samples/stock-emotions-a-1.jpg"), FACE)


@pytest.fixture(scope="module", params=[*MEASURERS, *LAYOUTS, "ediffiqa"])
def measure_case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case[Measurer]:
    if request.param == "ediffiqa":
        path = tmp_path_factory.mktemp("quality") / "ediffiqa_tiny.onnx"
        path.write_bytes(quality_onnx())
        bright = np.full((300, 200, 3), 200, np.uint8)
        return Case(lambda: EDifFiqa(path), lambda: EDifFiqa(path), bright, Face(Box(40, 60, 160, 200), 0.9))
    if request.param in LAYOUTS:
        paths = ultralytics(tmp_path_factory.mktemp("eyes"), LAYOUTS[request.param], "eye")
        return Case(lambda: eyes(paths[0]), lambda: eyes(paths[1]), noise(), FACE)
    weights = request.getfixturevalue("fixtures") / "weights"
    photo: Photo = request.getfixturevalue("photo")
    make = MEASURERS[request.param]
    portrait = Face(Box(178, 63, 270, 174), 0.9)
    return Case(lambda: make(weights), lambda: make(weights), photo("skimage/astronaut.png"), portrait)


def eyes(path: Path) -> PartsAsEyes:
    return PartsAsEyes(YoloV8Parts(path, "eye"))


def test_parts_have_their_kind_and_lie_inside_surest_first(part_case: Case[PartDetector]) -> None:
    detector, (height, width) = part_case.open(), part_case.picture.shape[:2]
    found = detector.parts(part_case.picture, [part_case.face])
    assert found, "a picture with something to find"
    for part in found:
        assert part.kind == detector.kind == "hand" and 0 < part.confidence <= 1
        assert part.box.area > 0 and part.box == part.box.clipped(width, height)
    assert [part.confidence for part in found] == sorted((part.confidence for part in found), reverse=True)


def test_boxes_that_reach_beyond_are_cut_at_the_edge(tmp_path: Path) -> None:
    seeing, _ = ultralytics(tmp_path, "8", "hand")
    picture = noise()
    boxes = [part.box for part in YoloV8Parts(seeing).parts(picture, [])]
    assert {box.x0 == 0 for box in boxes} == {box.x1 == picture.shape[1] for box in boxes} == {True, False}


def test_no_part_there(part_case: Case[PartDetector]) -> None:
    detector = part_case.unseeing()
    for image in (NOTHING, NOTHING[:3, :2]):
        assert detector.parts(image, []) == []


def test_same_parts_for_same_pixels_and_untouched_input(part_case: Case[PartDetector]) -> None:
    given = part_case.picture.copy()
    detector = part_case.open()
    first = detector.parts(given, [part_case.face])
    assert first == detector.parts(given, [part_case.face]) == part_case.open().parts(given, [part_case.face])
    assert np.array_equal(given, part_case.picture)


def test_fingerprint_of_a_part_detector(part_case: Case[PartDetector]) -> None:
    assert part_case.open().fingerprint == part_case.open().fingerprint
    assert "/" not in part_case.open().fingerprint
    # under these people's runs and vaults know what was measured: a new version throws it away
    assert part_case.open().fingerprint.startswith(("mediapipe-hands1-", "yolov8-hand2-"))


def test_measures_are_shares_of_what_is_covered(measure_case: Case[Measurer]) -> None:
    measurer = measure_case.open()
    found = dict(measurer.measure(measure_case.picture, measure_case.face))
    assert measurer.covers and measurer.covers <= COVERS
    told = {"eyes": "eyes_open", "face_quality": "face_quality"}
    assert all(found[name] > 0 for covered, name in told.items() if covered in measurer.covers)
    assert set(found) & set(told.values()) == {name for covered, name in told.items() if covered in measurer.covers}
    assert all(0 <= value <= 1 for value in found.values())


def test_nothing_is_measured_without_a_face_and_no_eyes_where_there_are_none(measure_case: Case[Measurer]) -> None:
    measurer = measure_case.unseeing()
    assert dict(measurer.measure(NOTHING, None)) == {}
    found = dict(measurer.measure(NOTHING, Face(Box(20, 20, 60, 70), 0.9)))
    assert "eyes_open" not in found or found == {"eyes_open": 0.0, "eyes_untold": 1.0}


def test_same_measures_for_same_pixels_and_untouched_input(measure_case: Case[Measurer]) -> None:
    given, face = measure_case.picture.copy(), measure_case.face
    first = dict(measure_case.open().measure(given, face))
    assert first == dict(measure_case.open().measure(given, face))
    assert np.array_equal(given, measure_case.picture)


def test_fingerprint_of_a_measurer(measure_case: Case[Measurer]) -> None:
    assert measure_case.open().fingerprint == measure_case.open().fingerprint
    assert "/" not in measure_case.open().fingerprint


def test_other_weights_and_another_limit_have_another_fingerprint(tmp_path: Path) -> None:
    seeing, blind = ultralytics(tmp_path, "8", "hand")
    made = [YoloV8Parts(seeing), YoloV8Parts(blind), YoloV8Parts(seeing, confidence=0.5), YoloV8Parts(seeing, size=320)]
    assert len({detector.fingerprint for detector in made}) == 4
