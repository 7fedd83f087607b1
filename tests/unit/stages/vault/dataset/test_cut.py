"""What is said of a cut picture, in true figures."""

from __future__ import annotations

import pytest

from tests.unit.things import digest, face
from twinloop.domain import crops
from twinloop.domain.faces import Box
from twinloop.domain.vault import VaultFace, VaultPhoto
from twinloop.stages.vault.dataset.cut import Cut, cut_of


def cut(width: int, height: int, *boxes: Box) -> Cut:
    faces = tuple(VaultFace(face(box=box), 0.9) for box in boxes)
    made = cut_of(VaultPhoto(digest(0), ("/p.jpg",), width, height, "0" * 16, None, "real", {}, faces), 0, "keep", 1024)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("side", "said"),
    [
        (250, ("smaller than 1024 x 1024, and not enlarged",)),
        (
            700,
            (
                "smaller than 1024 x 1024, and not enlarged",
                "made smaller from 700 x 700 to 640 x 640 pixels: sides are multiples of 64",
            ),
        ),
        (1000, ("made smaller from 1000 x 1000 to 960 x 960 pixels: sides are multiples of 64",)),
        (1024, ()),
        (2000, ()),
    ],
)
def test_a_picture_that_lost_pixels_of_few_says_it(side: int, said: tuple[str, ...]) -> None:
    assert cut(side, side, Box(0.3 * side, 0.3 * side, 0.6 * side, 0.7 * side)).remarks(1024) == said


@pytest.mark.parametrize("side", [512, 640, 1023, 1024, 2048])
@pytest.mark.parametrize("face", [(0.3, 0.3, 0.6, 0.7), (0.25, 0.25, 0.5, 0.5), (0.4, 0.2, 0.6, 0.4)])
def test_no_pixel_is_lost_to_rounding(side: int, face: tuple[float, float, float, float]) -> None:
    assert cut(side, side, Box(*(share * side for share in face))).window.box == (0, 0, side, side)


def test_the_same_cut_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, work = [], crops.cut
    monkeypatch.setattr(crops, "cut", lambda *given: asked.append(given) or work(*given))
    one, other = (Box(301.5, 200, 520, 480), Box(700, 210, 900, 480))
    assert cut(1111, 977, one, other).window == cut(1111, 977, one, other).window
    assert cut(1111, 977, one).window != cut(1111, 977, one, other).window and len(asked) == 2


def test_faces_that_were_cut_off_have_a_place_beside_the_picture() -> None:
    made = cut(2048, 1024, Box(1300, 300, 1600, 700), Box(100, 300, 300, 600))
    (other,) = made.other_faces
    assert other.x1 < 0 and made.subject.box.x0 > 0
