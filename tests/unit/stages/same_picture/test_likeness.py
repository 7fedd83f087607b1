"""Copies are recognised whatever was done to them, and other pictures are not taken for copies."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from tests.unit.stages.same_picture.sprites import FACE, SIDE, SPRITES, sprite
from tests.unit.stages.vault.copies.makers import picture, thumbnail
from twinloop.stages.same_picture.disc import disc_hash, unrolled
from twinloop.stages.same_picture.likeness import Copy, differs_in_a_face, is_flat, turned_copy, upright_copy

Change = Callable[[Image.Image], Image.Image]


def resaved(image: Image.Image, quality: int = 20) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def cut(image: Image.Image, share: float, top_only: bool = False) -> Image.Image:
    x, y = round(image.width * share), round(image.height * share)
    return image.crop((0, y, image.width, image.height) if top_only else (x, y, image.width - x, image.height - y))


def marked(image: Image.Image) -> Image.Image:
    copy = image.copy()
    ImageDraw.Draw(copy).rectangle((190, 205, 310, 230), fill="white")
    return copy


UPRIGHT: dict[str, Change] = {
    "smaller": lambda image: image.resize((80, 60), Image.Resampling.BILINEAR),
    "squeezed": lambda image: image.resize((200, 200)),
    "resaved": resaved,
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "flatter": lambda image: ImageEnhance.Contrast(image).enhance(0.6),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "cut": lambda image: cut(image, 0.04),
    "cut from the top": lambda image: cut(image, 0.07, True),
    "marked": marked,
    "framed": lambda image: ImageOps.expand(image, 4, "grey"),
}
TURNED: dict[str, tuple[Change, bool, float]] = {
    "mirrored": (ImageOps.mirror, True, 0), "upside down": (lambda image: image.rotate(180), False, 180),
    "on its side": (lambda image: image.transpose(Image.Transpose.ROTATE_90), False, 90),
    "by 30 degrees": (lambda image: image.rotate(30, Image.Resampling.BICUBIC), False, 30),
    "mirrored and resaved": (lambda image: resaved(ImageOps.mirror(image), 40), True, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", UPRIGHT)
def test_a_changed_copy_is_a_copy_either_way_round(name: str) -> None:
    for seed in range(3):
        original, copy = thumbnail(picture(seed)), thumbnail(UPRIGHT[name](picture(seed)))
        assert upright_copy(original, copy) is not None
        assert upright_copy(copy, original) is not None


def test_what_was_cut_off_is_told() -> None:
    found = upright_copy(thumbnail(picture(1)), thumbnail(cut(picture(1), 0.05)))
    assert found is not None
    assert found.cut == pytest.approx(1 - 0.9**2, abs=0.02)
    assert found.text("a.jpg") == f"the same picture as a.jpg, {100 * found.cut:.0f} % cut off"


@pytest.mark.parametrize(
    ("copy", "how"),
    [
        (Copy(), ""),
        (Copy(turned=-29.6), ", turned by 30 degrees"),
        (Copy(mirrored=True, turned=90.0, cut=0.2), ", mirrored, turned by 90 degrees, 20 % cut off"),
        (Copy(cut=0.014), ""),
    ],
)
def test_how_a_copy_differs_in_words(copy: Copy, how: str) -> None:
    assert copy.text("a.jpg") == f"the same picture as a.jpg{how}"


@pytest.mark.parametrize("name", TURNED)
def test_a_turned_copy_is_told_with_its_turn(name: str) -> None:
    change, mirrored, degrees = TURNED[name]
    for seed in range(4):
        original, copy = thumbnail(picture(seed)), thumbnail(change(picture(seed)))
        assert upright_copy(original, copy) is None
        found = turned_copy(original, copy)
        assert found is not None and found.mirrored == mirrored
        assert abs(found.turned) == pytest.approx(degrees, abs=1.5)
        one, other = disc_hash(unrolled(original.image)), disc_hash(unrolled(copy.image))
        assert one is not None and other is not None and (one ^ other).bit_count() <= 8


def test_other_pictures_are_no_copies() -> None:
    pictures = [thumbnail(picture(seed)) for seed in range(10)]
    for number, one in enumerate(pictures):
        for other in pictures[number + 1 :]:
            assert upright_copy(one, other) is None
            assert turned_copy(one, other) is None


def test_an_upright_copy_is_no_turned_one() -> None:
    assert turned_copy(thumbnail(picture(2)), thumbnail(resaved(picture(2)))) is None


def test_another_expression_in_the_same_picture_is_no_copy() -> None:
    """A mouth that opens takes less room than a watermark; only where there is a face it counts."""
    calm = picture(5)
    laughing = calm.copy()
    ImageDraw.Draw(laughing).ellipse((140, 130, 180, 165), fill="black", outline="white", width=4)
    face = (0.34, 0.2, 0.66, 0.75)
    one, other = thumbnail(calm), thumbnail(laughing)
    assert upright_copy(one, other) is not None
    assert upright_copy(one, other, [face], []) is None
    assert upright_copy(one, other, [], [face]) is None
    assert upright_copy(one, thumbnail(resaved(calm, 50)), [face], [face]) is not None


def test_plain_pictures_are_flat() -> None:
    gradient = np.tile(np.linspace(120, 220, 240, dtype=np.uint8)[:, None], (1, 320))
    for values in (np.zeros((240, 320), np.uint8), gradient, np.full((50, 50), 255, np.uint8)):
        assert is_flat(thumbnail(Image.fromarray(values)))
    assert not is_flat(thumbnail(picture(0)))
    assert disc_hash(unrolled(Image.new("L", (100, 80), 30))) is None


SPRITE_FACE = (FACE.x0 / SIDE, FACE.y0 / SIDE, FACE.x1 / SIDE, FACE.y1 / SIDE)


@pytest.mark.parametrize(("one", "other"), list(combinations(SPRITES, 2)))
def test_states_of_a_drawn_character_are_no_copies(one: tuple[str, bool], other: tuple[str, bool]) -> None:
    a, b = (thumbnail(sprite(*state).resize((256, 256))) for state in (one, other))
    assert upright_copy(a, b) is not None, "but for the face they are one picture"
    assert upright_copy(a, b, [SPRITE_FACE], [SPRITE_FACE]) is None
    assert differs_in_a_face(a, b, [SPRITE_FACE], [SPRITE_FACE])


@pytest.mark.parametrize("name", ["squeezed", "resaved", "brighter", "flatter", "grey", "framed"])
def test_copies_of_a_drawn_character_are_copies(name: str) -> None:
    for state in SPRITES:
        drawn = sprite(*state).resize((256, 256))
        a, b = thumbnail(drawn), thumbnail(UPRIGHT[name](drawn))
        assert upright_copy(a, b, [SPRITE_FACE], []) is not None, state
        assert not differs_in_a_face(a, b, [SPRITE_FACE], [])


def test_other_pictures_do_not_differ_in_a_face_alone() -> None:
    assert not differs_in_a_face(thumbnail(picture(1)), thumbnail(picture(2)), [SPRITE_FACE], [SPRITE_FACE])
