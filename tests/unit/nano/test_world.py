"""The renderer of the embedded world: same input, same pixels, and a truth that fits what is drawn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image, ImageOps

pytest.importorskip("numba")

from twinloop.errors import InputError
from twinloop.nano.world import params as p
from twinloop.nano.world.params import Identity, Scene, sample_identity, sample_scene
from twinloop.nano.world.photos import PhotoRecord, write_photo_set
from twinloop.nano.world.render import render
from twinloop.nano.world.turn import head_turn

SIZE = 64
WHO = Identity(seed=3, hair_style="bun")

VALUES = [
    *[("person", value) for value in get_args(p.Person)],
    *[("skin", value) for value in p.SKINS],
    *[("hair_style", value) for value in p.HAIR_STYLES],
    *[("hair_color", value) for value in p.HAIR_COLORS],
    *[("eye_color", value) for value in p.EYE_COLORS],
    *[("glasses", value) for value in p.GLASSES],
    *[("beard", value) for value in p.BEARDS],
    *[("marks", value) for value in p.MARKS],
]
SCENES = [
    *[("expression", value) for value in p.EXPRESSIONS],
    *[("setting", value) for value in p.SETTINGS],
    *[("lighting", value) for value in p.LIGHTINGS],
    *[("framing", value) for value in p.FRAMINGS],
    *[("clothes", value) for value in p.CLOTHES],
    *[("clothes_color", value) for value in p.CLOTHES_COLORS],
    *[("hands", value) for value in (0, 1, 2)],
    *[("eyes_open", value) for value in (True, False)],
]


def test_same_arguments_give_the_same_pixels() -> None:
    rng = np.random.default_rng(1)
    who, scene = sample_identity(rng), sample_scene(rng, noise=4.0, blur=1.0)
    assert np.array_equal(render(who, scene, SIZE).image, render(who, scene, SIZE).image)


def test_picture_has_the_asked_size_and_type() -> None:
    image = render(WHO, Scene(), 96).image
    assert image.shape == (96, 96, 3)
    assert image.dtype == np.uint8


def test_size_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match="size 8"):
        render(WHO, Scene(), 8)


@pytest.mark.parametrize(("field", "value"), VALUES)
def test_every_value_of_an_identity_is_drawn(field: str, value: str) -> None:
    picture = render(replace(WHO, **({"person": "man"} | {field: value})), Scene(yaw=20.0), SIZE)
    assert picture.image.std() > 10.0


@pytest.mark.parametrize(("field", "value"), SCENES)
def test_every_value_of_a_scene_is_drawn(field: str, value: object) -> None:
    picture = render(WHO, replace(Scene(framing="portrait"), **{field: value}), SIZE)
    assert picture.image.std() > 10.0
    assert len(picture.truth.hand_boxes) == picture.truth.scene.hands


@pytest.mark.parametrize("field", ["expression", "setting", "lighting", "clothes_color", "hands", "eyes_open"])
def test_values_of_a_scene_look_different(field: str) -> None:
    base = Scene(framing="portrait")
    images = [
        render(WHO, replace(base, **{name: value}), SIZE).image.astype(float) for name, value in SCENES if name == field
    ]
    for one in range(len(images)):
        for two in range(one):
            assert np.abs(images[one] - images[two]).max() > 30.0


@pytest.mark.parametrize("yaw", [-90.0, -40.0, 0.0, 40.0, 90.0])
@pytest.mark.parametrize("framing", p.FRAMINGS)
def test_visible_landmarks_lie_in_the_face_box_and_in_the_picture(yaw: float, framing: p.Framing) -> None:
    truth = render(WHO, Scene(yaw=yaw, framing=framing), 128).truth
    x0, y0, x1, y1 = truth.face_box
    assert 0 <= x0 < x1 <= 128
    assert 0 <= y0 < y1 <= 128
    for (x, y), seen in zip(truth.landmarks, truth.landmarks_visible, strict=True):
        assert x0 - 1 <= x <= x1 + 1
        assert y0 - 1 <= y <= y1 + 1
        assert not seen or (0 <= x <= 128 and 0 <= y <= 128)


@pytest.mark.parametrize(("framing", "share"), [("close_up", 0.65), ("portrait", 0.45), ("half_body", 0.28)])
def test_framing_sets_the_share_of_the_face(framing: p.Framing, share: float) -> None:
    truth = render(WHO, Scene(framing=framing), 128).truth
    assert (truth.face_box[3] - truth.face_box[1]) / 128 == pytest.approx(share, abs=0.06)


def test_mirrored_yaw_mirrors_the_landmarks() -> None:
    scene = Scene(yaw=33.0, pitch=5.0, roll=7.0)
    right = render(WHO, scene, 128).truth
    left = render(WHO, replace(scene, yaw=-33.0, roll=-7.0), 128).truth
    mirrored = left.landmarks[[1, 0, 2, 4, 3]] * [-1, 1] + [128, 0]
    np.testing.assert_allclose(right.landmarks, mirrored, atol=0.01)
    assert right.landmarks_visible.tolist() == left.landmarks_visible[[1, 0, 2, 4, 3]].tolist()


def test_signs_of_the_angles() -> None:
    front = head_turn(0, 0, 0) @ [0, 0, 1]
    np.testing.assert_allclose(front, [0, 0, 1], atol=1e-12)
    assert (head_turn(30, 0, 0) @ [0, 0, 1])[0] > 0, "yaw > 0 turns the nose to image right"
    assert (head_turn(0, 30, 0) @ [0, 0, 1])[1] > 0, "pitch > 0 looks up"
    assert (head_turn(0, 0, 30) @ [0, 1, 0])[0] > 0, "roll > 0 tilts the top to image right"


def test_nose_moves_to_the_side_the_head_turns_to() -> None:
    for yaw in (-50.0, 50.0):
        marks = render(WHO, Scene(yaw=yaw), SIZE).truth.landmarks
        assert (marks[2, 0] - marks[:2, 0].mean()) * yaw > 0


def test_profile_hides_the_far_eye_and_sunglasses_hide_both() -> None:
    assert render(WHO, Scene(yaw=75.0), 128).truth.landmarks_visible[:2].tolist() == [True, False]
    dark = render(replace(WHO, glasses="sunglasses"), Scene(), 128).truth
    assert not dark.landmarks_visible[:2].any()
    assert not dark.eyes_visible
    assert dark.eye_boxes == []


def test_pixels_at_the_landmarks_are_eyes_and_lips() -> None:
    picture = render(replace(WHO, skin="pale"), Scene(), 256)
    skin = picture.image[int(picture.truth.landmarks[2, 1]) + 0, int(picture.truth.landmarks[2, 0])].astype(float)
    for x, y in picture.truth.landmarks[:2]:
        eye = picture.image[int(y), int(x)].astype(float)
        assert eye.mean() < skin.mean() - 60.0, "the pupil is far darker than the nose"


def test_hand_pixels_are_skin() -> None:
    picture = render(replace(WHO, skin="light"), Scene(hands=2, framing="portrait", clothes_color="blue"), 128)
    for x0, y0, x1, y1 in picture.truth.hand_boxes:
        red, _, blue = picture.image[int((y0 + y1) / 2), int((x0 + x1) / 2)].astype(int)
        assert red > blue + 15


def test_one_person_keeps_its_colours_and_two_people_differ() -> None:
    rng = np.random.default_rng(4)
    one, two = sample_identity(rng, skin="tan"), sample_identity(rng, skin="tan")
    scene = Scene()
    assert not np.array_equal(render(one, scene, SIZE).image, render(two, scene, SIZE).image)


def test_truth_becomes_json() -> None:
    truth = render(WHO, Scene(hands=1, framing="portrait"), SIZE).truth
    data = json.loads(json.dumps(truth.to_json()))
    assert data["identity"]["hair_style"] == "bun"
    assert len(data["landmarks"]) == 5
    assert len(data["hand_boxes"]) == 1


def test_samplers_follow_the_mixture_and_obey_fixed_fields() -> None:
    rng = np.random.default_rng(0)
    scenes = [sample_scene(rng, lighting="low_key") for _ in range(600)]
    yaws = np.abs([scene.yaw for scene in scenes])
    assert all(scene.lighting == "low_key" for scene in scenes)
    assert 0.27 < np.mean(yaws < 15) < 0.40
    assert 0.27 < np.mean((yaws >= 25) & (yaws <= 55)) < 0.40
    assert 0.38 < np.mean([scene.framing == "close_up" for scene in scenes]) < 0.52
    assert sample_identity(rng, person="woman").beard == "none"
    with pytest.raises(InputError, match="colour"):
        sample_scene(rng, colour="red")


@pytest.fixture(scope="module")
def photo_set(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[PhotoRecord]]:
    base = tmp_path_factory.mktemp("photos")
    records = write_photo_set(base / "photos", seed=5, size=SIZE, truth=base / "photos_truth.json")
    return base / "photos", base / "photos_truth.json", records


def test_photo_set_has_its_files_and_its_truth(photo_set: tuple[Path, Path, list[PhotoRecord]]) -> None:
    folder, truth, records = photo_set
    assert {path.name for path in folder.iterdir()} == {record.file for record in records}
    assert len(records) == 60
    assert [photo["file"] for photo in json.loads(truth.read_text())["photos"]] == [record.file for record in records]


def test_photo_set_is_messy_in_the_stated_way(photo_set: tuple[Path, Path, list[PhotoRecord]]) -> None:
    _, _, records = photo_set
    kinds = [record.kind for record in records]
    assert 4 <= kinds.count("near_duplicate") <= 6
    assert 3 <= kinds.count("blurred") <= 4
    assert 5 <= kinds.count("other") <= 6
    assert 3 <= sum(record.orientation != 1 for record in records) <= 4
    own = [record.truth.scene for record in records if record.kind in ("person", "blurred")]
    assert 0.04 <= np.mean([abs(scene.yaw) > 60 for scene in own]) <= 0.12
    assert 0.06 <= np.mean([scene.hands > 0 for scene in own]) <= 0.14
    assert np.mean([scene.expression in ("smile", "laughing") for scene in own]) > 0.5
    assert np.mean([scene.setting == "indoor" for scene in own]) > 0.5
    assert len({(scene.clothes, scene.clothes_color) for scene in own}) >= 4
    assert len({record.truth.identity for record in records if record.kind != "other"}) == 1


def test_near_duplicates_look_like_their_twin(photo_set: tuple[Path, Path, list[PhotoRecord]]) -> None:
    folder, _, records = photo_set

    def grey(name: str) -> np.ndarray:
        image = ImageOps.exif_transpose(Image.open(folder / name)).convert("L").resize((16, 16))
        return np.asarray(image, float)

    doubles = [record for record in records if record.kind == "near_duplicate"]
    for record in doubles:
        assert record.duplicate_of is not None
        assert np.abs(grey(record.file) - grey(record.duplicate_of)).mean() < 12.0


def test_turned_photos_stand_upright_after_exif(photo_set: tuple[Path, Path, list[PhotoRecord]]) -> None:
    folder, _, records = photo_set
    for record in records:
        image = Image.open(folder / record.file)
        assert image.getexif().get(0x0112, 1) == record.orientation
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"), float)
        drawn = render(record.truth.identity, record.truth.scene, SIZE).image.astype(float)
        assert np.abs(upright - drawn).mean() < 8.0


def test_photo_set_never_overwrites(photo_set: tuple[Path, Path, list[PhotoRecord]], tmp_path: Path) -> None:
    folder, truth, _ = photo_set
    with pytest.raises(InputError, match="not an empty folder"):
        write_photo_set(folder, seed=5)
    with pytest.raises(InputError, match="exists"):
        write_photo_set(tmp_path / "new", seed=5, truth=truth)
    with pytest.raises(InputError, match="among the photos"):
        write_photo_set(tmp_path / "new", seed=5, truth=tmp_path / "new" / "truth.json")
    with pytest.raises(InputError, match="at least 12"):
        write_photo_set(tmp_path / "new", seed=5, count=3)
    assert not (tmp_path / "new").exists()


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_photo_set(tmp_path / name, seed=8, count=12, size=SIZE)
    one, two = (sorted((tmp_path / name).iterdir()) for name in ("a", "b"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
