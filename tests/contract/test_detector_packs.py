"""What every whole pack must do, whatever its world: the fakes, the embedded detectors, those for real photos."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.adapters.detectors.onnx_files import quality_onnx
from tests.unit.things import Recording, shot
from twinloop.adapters.fakes import FakeTruth, fake_image
from twinloop.domain.faces import ImageArray
from twinloop.facets import BUILTIN
from twinloop.ports import DetectorPack
from twinloop.stages.assess import assess
from twinloop.stages.generation_record import MadeImage
from twinloop.stages.observe import Observer
from twinloop.store.atomic import sha256_file
from twinloop.store.run.catalog import Catalog
from twinloop.wiring.detectors import build_pack

Photo = Callable[[str], ImageArray]
MADE = ("fake", "nano")
NOTHING = np.full((120, 90, 3), 128, dtype=np.uint8)
COVERS = {"eyes", "expression", "setting", "lighting", "face_quality"}


def nano_picture() -> ImageArray:
    pytest.importorskip("numba")
    from twinloop.nano.world.params import Identity, Scene
    from twinloop.nano.world.render import render

    return render(Identity(), Scene(yaw=30.0, hands=1, framing="portrait")).image


def with_quality(weights: Path, folder: Path) -> Path:
    """A models folder whose detector of face quality is a stand-in, as its file is not here."""
    (folder / "ediffiqa_tiny_jun2024.onnx").write_bytes(quality_onnx())
    for name in ("yunet/face_detection_yunet_2026may.onnx", "mobilefacenet/MobileFaceNet.onnx"):
        shutil.copy(weights / name, folder)
    for path in (*(weights / "mediapipe_hands").glob("*.onnx"), *(weights / "mediapipe_face").glob("*.task")):
        shutil.copy(path, folder)
    return folder


@pytest.fixture(params=[*MADE, "models", "yolo", "mediapipe", "quality"])
def world(request: pytest.FixtureRequest) -> tuple[DetectorPack, ImageArray]:
    """A pack, and a picture of one person that it is made for."""
    if request.param == "fake":
        return build_pack("fake"), fake_image(FakeTruth(yaw=30.0, hands=1), 1)
    if request.param == "nano":
        return build_pack("nano"), nano_picture()
    fixtures: Path = request.getfixturevalue("fixtures")
    photo: Photo = request.getfixturevalue("photo")
    if request.param == "quality":
        folder = with_quality(fixtures / "weights", request.getfixturevalue("tmp_path"))
        return build_pack(str(folder)), photo("skimage/astronaut.png")
    forced = "" if request.param == "models" else f"{request.param}:"
    return build_pack(f"{forced}{fixtures / 'weights'}"), photo("skimage/astronaut.png")


@pytest.fixture
def pack(world: tuple[DetectorPack, ImageArray]) -> DetectorPack:
    return world[0]


@pytest.fixture
def picture(world: tuple[DetectorPack, ImageArray]) -> ImageArray:
    return world[1]


def test_one_person_is_one_face_inside_the_picture(pack: DetectorPack, picture: ImageArray) -> None:
    assert pack.faces is not None
    (face,) = pack.faces.detect(picture)
    assert 0 < face.confidence <= 1
    assert face.box.area > 0 and face.box == face.box.clipped(picture.shape[1], picture.shape[0])
    assert face.landmarks is None or (face.landmarks.shape == (5, 2) and face.landmarks.dtype == np.float32)


def test_every_port_answers_for_that_face(pack: DetectorPack, picture: ImageArray) -> None:
    assert pack.faces is not None and pack.pose is not None and pack.embedder is not None
    (face,) = pack.faces.detect(picture)
    pose, vector = pack.pose.pose(picture, face), pack.embedder.embed(picture, face)
    assert pose is not None and abs(pose.yaw) < 120 and abs(pose.pitch) < 90 and abs(pose.roll) < 90
    assert vector is not None and vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


@pytest.fixture
def with_hands(request: pytest.FixtureRequest, picture: ImageArray) -> ImageArray:
    """A picture of somebody who shows a hand: those of the made worlds do, of the photos one does."""
    if request.node.callspec.params["world"] in MADE:
        return picture
    photo: Photo = request.getfixturevalue("photo")
    return photo("human_samples/stock-emotions-a-1.jpg")


def test_hands_have_their_kind_and_lie_inside(pack: DetectorPack, with_hands: ImageArray) -> None:
    assert pack.faces is not None
    assert pack.parts or pack.name == "yolo", "only the files of YOLO's kind at hand have no hand detector among them"
    faces = pack.faces.detect(with_hands)
    for detector in pack.parts:
        found = detector.parts(with_hands, faces)
        assert found, "a picture with hands"
        for part in found:
            assert part.kind == detector.kind and 0 < part.confidence <= 1
            assert part.box.area > 0 and part.box == part.box.clipped(with_hands.shape[1], with_hands.shape[0])


def test_measures_are_shares_and_only_what_is_covered(pack: DetectorPack, picture: ImageArray) -> None:
    assert pack.faces is not None
    (face,) = pack.faces.detect(picture)
    for measurer in pack.measurers:
        found = dict(measurer.measure(picture, face))
        assert measurer.covers <= COVERS and found
        named = {name: value for name, value in found.items() if name.split(".")[0] in COVERS or name == "eyes_open"}
        assert named and all(0 <= value <= 1 for value in named.values())
        assert {name.split(".")[0].replace("eyes_open", "eyes") for name in named} <= measurer.covers


def test_face_quality_is_measured_where_it_is_covered_and_nothing_stands_for_it(
    pack: DetectorPack, picture: ImageArray
) -> None:
    assert pack.faces is not None
    (face,) = pack.faces.detect(picture)
    covered = any("face_quality" in measurer.covers for measurer in pack.measurers)
    found = {name for measurer in pack.measurers for name in measurer.measure(picture, face)}
    assert ("face_quality" in found) is covered
    assert covered or pack.least_face_quality is None


def test_the_panel_has_a_quality_where_the_packs_scale_is_known_and_none_by_confidence(
    pack: DetectorPack, picture: ImageArray, tmp_path: Path
) -> None:
    """No photo of the person is at hand here, so a scale that is learned from photos tells nothing."""
    path = tmp_path / "panel_001.png"
    Image.fromarray(picture).save(path)
    made = [MadeImage(path, sha256_file(path), shot(1))]
    with Catalog(None) as catalog:
        observer = Observer(pack, BUILTIN)
        now = assess(made, 1, observer, catalog, None, Recording())
    known = pack.least_face_quality is not None
    assert ("quality" in now.samples) is ("quality" in now.metrics) is known
    counted = [now.samples[name][0] for name in ("on_target", "quality") if name in now.samples]
    assert now.samples["overall"] == pytest.approx([np.mean(counted)])


def test_nobody_there(pack: DetectorPack) -> None:
    assert pack.faces is not None
    for image in (NOTHING, NOTHING[:3, :2]):
        assert pack.faces.detect(image) == []
        assert [part for detector in pack.parts for part in detector.parts(image, [])] == []
    for measurer in pack.measurers:
        names = {name.split(".")[0] for name in measurer.measure(NOTHING, None)}
        assert not names & {"eyes_open", "expression", "face_quality"}, "a face that is not there has no expression"


def test_same_pixels_same_answer_and_untouched_input(pack: DetectorPack, picture: ImageArray) -> None:
    assert pack.faces is not None and pack.embedder is not None
    given = picture.copy()
    first, second = pack.faces.detect(given), pack.faces.detect(given)
    assert [face.box for face in first] == [face.box for face in second]
    one, two = pack.embedder.embed(given, first[0]), pack.embedder.embed(given, second[0])
    assert one is not None and two is not None and np.array_equal(one, two)
    assert np.array_equal(given, picture)


def test_fingerprint_names_every_member_and_no_path(pack: DetectorPack) -> None:
    members = [pack.faces, pack.pose, *pack.parts, *pack.measurers, pack.embedder]
    assert all(member.fingerprint in pack.fingerprint for member in members if member is not None)
    assert "/" not in pack.fingerprint
