"""Which photos of a person are used, with a reason for each that is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.stages.vault.makers import fake_vault, fill, person_in, photo_of
from tests.unit.things import face
from twinloop.domain.faces import Box
from twinloop.domain.vault import Person
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.vault.dataset.choose import angle_and_side, choose
from twinloop.stages.vault.dataset.cut import CutOptions
from twinloop.stages.vault.opening import open_vault


def noise(path: Path, width: int = 640, height: int = 480, seed: int = 0, soft: bool = False) -> Path:
    """A picture of noise; ``soft``: without any detail."""
    cells = 4 if soft else max(width, height)
    pixels = np.random.default_rng(seed).integers(0, 255, (min(cells, height), min(cells, width), 3), dtype=np.uint8)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


def test_small_faces_copies_and_blurred_ones_are_left_out_with_the_reason(tmp_path: Path) -> None:
    photos = [
        photo_of(noise(tmp_path / "p" / f"{n}.png", seed=n, soft=n == 5), [face(box=Box(250, 100, 370, 250))])
        for n in range(8)
    ]
    photos.append(photo_of(noise(tmp_path / "p" / "small.png", seed=9), [face(box=Box(10, 10, 40, 50))]))
    fill(tmp_path / "v", photos)
    with open_vault(tmp_path / "v") as opened:
        choice = choose(opened, person_in(photos), {photos[2].sha256: "near copy of 1.png"}, CutOptions(size=256))
    reasons = {Path(item.photo.paths[0]).name: item.reason for item in choice.left_out}
    assert set(reasons) == {"2.png", "5.png", "small.png"} and choice.copies == 1
    assert (
        reasons["2.png"] == "near copy of 1.png"
        and "blurred" in reasons["5.png"]
        and "40 pixels high; 64" in reasons["small.png"]
    )
    assert [cut.path.name for cut in choice.cuts] == ["0.png", "1.png", "3.png", "4.png", "6.png", "7.png"]


def test_max_photos_keeps_every_angle(tmp_path: Path) -> None:
    yaws = [0.0] * 9 + [-70.0, 70.0, 35.0]
    photos = [
        photo_of(noise(tmp_path / "p" / f"{n:02d}.png", seed=n), [face(yaw, box=Box(250, 100, 370, 250))])
        for n, yaw in enumerate(yaws)
    ]
    fill(tmp_path / "v", photos)
    with open_vault(tmp_path / "v") as opened:
        choice = choose(opened, person_in(photos), {}, CutOptions(size=256, max_photos=5))
    assert len(choice.cuts) == 5 and len(choice.left_out) == 7
    assert {angle_and_side(cut.found.face.pose) for cut in choice.cuts} == {
        "front",
        "profile_left",
        "profile_right",
        "three_quarter_right",
    }


def test_in_a_group_photo_the_cut_is_around_the_person(tmp_path: Path) -> None:
    crowd = [face(box=Box(60, 100, 260, 360)), face(box=Box(500, 100, 640, 280))]
    photo = photo_of(noise(tmp_path / "p" / "two.png", 900, 600), crowd)
    fill(tmp_path / "v", [photo])
    with open_vault(tmp_path / "v") as opened:
        (cut,) = choose(opened, person_in([photo], {photo.sha256: 1}), {}, CutOptions(size=512)).cuts
    assert cut.number == 1 and cut.window.box[0] >= 260 and cut.window.others == 0
    subject = cut.subject.box
    assert 0 <= subject.x0 < subject.x1 <= cut.window.size[0] and 0 <= subject.y0 < subject.y1 <= cut.window.size[1]


def test_two_faces_of_the_person_in_one_photo_count_once(tmp_path: Path) -> None:
    photo = photo_of(
        noise(tmp_path / "p" / "mirror.png", 900, 600),
        [face(box=Box(60, 100, 160, 230)), face(box=Box(500, 100, 700, 360))],
    )
    fill(tmp_path / "v", [photo])
    with open_vault(tmp_path / "v") as opened:
        (cut,) = choose(opened, Person("p001", None, (photo.key(0), photo.key(1))), {}, CutOptions()).cuts
    assert cut.number == 1


def test_a_hidden_person_is_not_prepared(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 1) as (opened, person), pytest.raises(InputError, match="hidden"):
        choose(opened, Person(person.id, person.name, person.faces, hidden=True), {}, CutOptions())


def test_nothing_left_says_why(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 2) as (opened, person):
        with pytest.raises(
            NothingToDo, match=r"None of the 2 photos of p001 \(alice\).*\n  - IMG_0000\.png: the face is"
        ):
            choose(opened, person, {}, CutOptions(min_face=250))
        with pytest.raises(NothingToDo, match="Scan again"):
            choose(opened, Person("p009", None, ()), {}, CutOptions())


@pytest.mark.parametrize("options", [CutOptions(framing="toes"), CutOptions(size=64), CutOptions(size=9999)])
def test_options_that_cannot_be(tmp_path: Path, options: CutOptions) -> None:
    with fake_vault(tmp_path, 1) as (opened, person), pytest.raises(InputError):
        choose(opened, person, {}, options)
