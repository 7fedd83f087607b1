"""The embedded detectors on a handful of fresh renders: they fail if a network is broken or fed wrongly.

The limits leave room; how good the networks are is measured by ``twinloop nano evaluate``.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from twinloop import wiring
from twinloop.adapters.detectors.nano import FACE, IDENTITY, WHOLE, load_nano_pack
from twinloop.domain.faces import Box, Face, ImageArray
from twinloop.errors import MissingModel, ModelFileError
from twinloop.ports import DetectorPack

pytest.importorskip("numba")

from twinloop.nano.world.params import EXPRESSIONS, LIGHTINGS, SETTINGS, Identity, Scene, sample_identity
from twinloop.nano.world.render import Rendering, render

SHIPPED = wiring.nano_detectors_path()
CALM = Scene(framing="close_up", background_seed=5)
YAWS = (-80.0, -40.0, 0.0, 40.0, 80.0)
PEOPLE = tuple(sample_identity(np.random.default_rng([77, number]), glasses="none") for number in range(4))


@pytest.fixture(scope="module")
def pack() -> DetectorPack:
    return load_nano_pack(SHIPPED)


@cache
def drawn(person: int = 0, scene: Scene = CALM) -> Rendering:
    return render(PEOPLE[person], scene)


def face_of(pack: DetectorPack, image: ImageArray) -> Face:
    assert pack.faces is not None
    return max(pack.faces.detect(image), key=lambda face: face.box.area)


def measures(pack: DetectorPack, image: ImageArray) -> dict[str, float]:
    face = face_of(pack, image)
    return {name: value for measurer in pack.measurers for name, value in measurer.measure(image, face).items()}


def best(found: dict[str, float], facet: str) -> str:
    shares = {name.removeprefix(f"{facet}."): value for name, value in found.items() if name.startswith(f"{facet}.")}
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-4)
    return max(shares, key=lambda name: shares[name])


@pytest.mark.parametrize("framing", ["close_up", "portrait", "half_body"])
def test_boxes_and_landmarks(pack: DetectorPack, framing: str) -> None:
    for person, yaw in enumerate((-35.0, 0.0, 30.0, 75.0)):
        picture = drawn(person, replace(CALM, framing=framing, yaw=yaw))  # type: ignore[arg-type]
        face, truth = face_of(pack, picture.image), picture.truth
        assert face.box.iou(Box(*truth.face_box).clipped(256, 256)) > 0.7
        assert face.landmarks is not None
        side = max(face.box.width, face.box.height)
        assert np.abs(face.landmarks - truth.landmarks).mean() < 0.08 * side


def test_yaw(pack: DetectorPack) -> None:
    assert pack.pose is not None
    for yaw in YAWS:
        image = drawn(1, replace(CALM, yaw=yaw)).image
        pose = pack.pose.pose(image, face_of(pack, image))
        assert pose is not None and abs(pose.yaw - yaw) < 15


def test_mirrored_pixels_mirror_the_answer(pack: DetectorPack) -> None:
    assert pack.pose is not None
    image = drawn(2, replace(CALM, yaw=45.0)).image
    other = np.ascontiguousarray(image[:, ::-1])
    face, mirrored = face_of(pack, image), face_of(pack, other)
    pose, opposite = pack.pose.pose(image, face), pack.pose.pose(other, mirrored)
    assert pose is not None and opposite is not None and abs(pose.yaw + opposite.yaw) < 8
    back = Box(256 - mirrored.box.x1, mirrored.box.y0, 256 - mirrored.box.x0, mirrored.box.y1)
    assert face.box.iou(back) > 0.85


def test_hands(pack: DetectorPack) -> None:
    counts = {}
    for hands in (0, 1, 2):
        scenes = [replace(CALM, framing="portrait", hands=hands, background_seed=seed) for seed in range(3)]
        images = [drawn(number, scene).image for number, scene in enumerate(scenes)]
        found = [pack.parts[0].parts(image, []) for image in images]
        assert all(part.shape is None and not part.box_only for parts in found for part in parts), (
            "no check of their form"
        )
        counts[hands] = [sum(p.confidence >= 0.5 for p in parts) for parts in found]
    assert counts[0] == [0, 0, 0]
    assert min(counts[1]) >= 1 and sum(counts[2]) >= 5


def test_two_people(pack: DetectorPack) -> None:
    assert pack.faces is not None
    left, right = (drawn(person, replace(CALM, framing="portrait")).image[:, 40:216] for person in (0, 1))
    faces = pack.faces.detect(np.concatenate([left, right], axis=1))
    assert len(faces) == 2
    assert sorted(face.box.center[0] > left.shape[1] for face in faces) == [False, True]


def test_place_does_not_depend_on_the_size_of_the_photo(pack: DetectorPack) -> None:
    small = face_of(pack, drawn().image).box
    large = face_of(pack, np.asarray(drawn().image.repeat(3, 0).repeat(3, 1))).box
    assert small.iou(Box(*(edge / 3 for edge in large.to_list()))) > 0.9


def test_setting_and_lighting(pack: DetectorPack) -> None:
    right = 0
    for number, value in enumerate(SETTINGS):
        scene = replace(CALM, framing="portrait", setting=value)
        right += best(measures(pack, drawn(number % 4, scene).image), "setting") == value
    for number, light in enumerate(LIGHTINGS):
        scene = replace(CALM, framing="portrait", lighting=light)
        right += best(measures(pack, drawn(number, scene).image), "lighting") == light
    assert right >= 6


def test_expressions(pack: DetectorPack) -> None:
    right = [
        best(measures(pack, drawn(n % 4, replace(CALM, expression=e)).image), "expression") == e
        for n, e in enumerate(EXPRESSIONS)
    ]
    assert sum(right) >= 4


def test_eyes(pack: DetectorPack) -> None:
    for person in range(3):
        opened, closed = (
            measures(pack, drawn(person, replace(CALM, eyes_open=value)).image)["eyes_open"] for value in (True, False)
        )
        assert opened > 0.5 > closed
    behind = render(Identity(glasses="sunglasses"), CALM).image
    assert measures(pack, behind)["eyes_open"] < 0.5


def test_a_smeared_face_is_told_from_a_whole_one(pack: DetectorPack) -> None:
    for person in range(3):
        picture = drawn(person)
        assert measures(pack, picture.image)["face_quality"] > 0.5
        smeared = picture.image.copy()
        x0, y0, x1, y1 = (int(edge) for edge in picture.truth.face_box)
        face = smeared[y0:y1, x0:x1]
        for shift in (4, 8, 16):  # wiped to the side
            face = ((face.astype(np.float32) + np.roll(face, shift, axis=1)) / 2).astype(np.uint8)
        smeared[y0:y1, x0:x1] = face
        found = pack.measurers[1].measure(smeared, face_of(pack, picture.image))
        assert found["face_quality"] < 0.5


def test_one_person_is_nearer_than_another(pack: DetectorPack) -> None:
    assert pack.embedder is not None
    vectors = []
    for person in range(4):
        for scene in (replace(CALM, setting="indoor"), replace(CALM, yaw=30.0, setting="outdoor", clothes_color="red")):
            image = drawn(person, scene).image
            vector = pack.embedder.embed(image, face_of(pack, image))
            assert vector is not None
            vectors.append(vector)
    similarity = np.stack(vectors) @ np.stack(vectors).T
    same = similarity[np.arange(0, 8, 2), np.arange(1, 8, 2)]
    others = similarity[np.arange(8)[:, None] // 2 != np.arange(8)[None] // 2]
    assert same.mean() > others.mean() + 0.3


def test_too_small_a_face_is_left_alone(pack: DetectorPack) -> None:
    assert pack.embedder is not None and pack.pose is not None
    image, speck = drawn().image, Face(Box(10, 10, 14, 14), 0.9)
    assert pack.embedder.embed(image, speck) is None and pack.pose.pose(image, speck) is None
    assert pack.measurers[1].measure(image, speck) == {}


class TestFiles:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name in (WHOLE, FACE, IDENTITY):
            shutil.copy2(SHIPPED / name, tmp_path / name)
        return tmp_path

    def test_they_are_small(self) -> None:
        assert sum((SHIPPED / name).stat().st_size for name in (WHOLE, FACE, IDENTITY)) < 10e6

    @pytest.mark.parametrize("name", [WHOLE, FACE, IDENTITY])
    def test_a_missing_one_is_named_with_the_remedy(self, folder: Path, name: str) -> None:
        (folder / name).unlink()
        with pytest.raises(MissingModel, match=rf"{name} is missing.*Install twinloop again"):
            load_nano_pack(folder)

    @pytest.mark.parametrize("name", [WHOLE, FACE, IDENTITY])
    def test_one_cut_short(self, folder: Path, name: str) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(ModelFileError, match=rf"{name}: cut short"):
            load_nano_pack(folder)

    def test_exchanged_files(self, folder: Path) -> None:
        shutil.copy2(SHIPPED / FACE, folder / WHOLE)
        with pytest.raises(ModelFileError, match=rf"{WHOLE}: not the embedded detector"):
            load_nano_pack(folder)

    def test_a_network_for_another_job_is_refused_at_its_first_image(self, folder: Path) -> None:
        shutil.copy2(SHIPPED / IDENTITY, folder / FACE)
        pack = load_nano_pack(folder)
        with pytest.raises(ModelFileError, match=FACE):
            face_of(pack, drawn().image)

    def test_other_weights_have_another_fingerprint(self, folder: Path, pack: DetectorPack) -> None:
        data = bytearray((folder / FACE).read_bytes())
        place = len(data) // 2
        data[place] ^= 1
        (folder / FACE).write_bytes(bytes(data))
        assert load_nano_pack(SHIPPED).fingerprint == pack.fingerprint != load_nano_pack(folder).fingerprint
