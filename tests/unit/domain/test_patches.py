"""A face's patch lies in the picture, and pasting changes nothing outside of its ellipse."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twinloop.domain.faces import Box
from twinloop.domain.patches import Patch, patch_around


@st.composite
def faces(draw: st.DrawFn) -> tuple[int, int, Box, float]:
    """A picture, a face whose centre lies in it (the box may reach out of it), and a margin."""
    width, height = draw(st.integers(16, 300)), draw(st.integers(16, 300))
    tall = draw(st.floats(4, 300))
    wide = tall * draw(st.floats(0.5, 1.2))
    x, y = draw(st.floats(0, width)), draw(st.floats(0, height))
    margin = draw(st.floats(1.0, 3.0))
    return width, height, Box(x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2), margin


@given(faces())
def test_the_square_lies_in_the_picture_and_holds_the_ellipse(given: tuple[int, int, Box, float]) -> None:
    width, height, face, margin = given
    patch = patch_around(face, width, height, margin)
    assert patch.left >= 0 and patch.left + patch.side <= width
    assert patch.top >= 0 and patch.top + patch.side <= height
    (x, y), (across, down) = patch.center, patch.axes
    assert (x, y) == face.center
    assert max(0.0, x - across) >= patch.left and min(width, x + across) <= patch.left + patch.side
    assert max(0.0, y - down) >= patch.top and min(height, y + down) <= patch.top + patch.side


@given(faces())
def test_a_face_well_inside_of_the_picture_has_the_margin_that_was_asked_for(
    given: tuple[int, int, Box, float],
) -> None:
    width, height, face, margin = given
    patch = patch_around(face, width, height, margin)
    assert abs(patch.side - min(margin * max(face.width, face.height), width, height)) <= 1


@given(faces(), st.integers(0, 2**31))
def test_pixels_outside_of_the_ellipse_stay_bit_for_bit(given: tuple[int, int, Box, float], seed: int) -> None:
    width, height, face, margin = given
    patch = patch_around(face, width, height, margin)
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    before = picture.copy()
    copy = rng.integers(0, 256, (patch.side, patch.side, 3), dtype=np.uint8)
    pasted = patch.pasted(picture, copy)
    assert np.array_equal(picture, before)
    down, across = np.mgrid[:height, :width] + 0.5
    distance = np.hypot((across - patch.center[0]) / patch.axes[0], (down - patch.center[1]) / patch.axes[1])
    assert np.array_equal(pasted[distance >= 1], picture[distance >= 1])


def test_fine_detail_is_the_copys_and_coarse_colours_are_the_pictures() -> None:
    """A copy in which every tone is shifted leaves no halo."""
    down, across = np.mgrid[:200, :200]
    stripes = ((down // 4) % 2 * 60)[..., None] - 30
    picture = np.asarray(np.broadcast_to(100 + across[..., None] // 4, (200, 200, 3)), np.uint8)
    patch = patch_around(Box(70, 60, 120, 120), 200, 200, 1.7)
    copy = np.asarray(patch.cut(picture) + stripes[: patch.side, : patch.side] + 40, np.uint8)
    change = patch.cut(patch.pasted(picture, copy)).astype(float) - patch.cut(picture)
    middle = slice(patch.side // 2 - 16, patch.side // 2 + 16)
    assert np.abs(change).max() <= 33
    assert np.abs(np.abs(change[middle, middle]) - 30).max() <= 3, "the stripes are there in full"
    assert np.abs(change[middle, middle].mean()) <= 1, "the shift is not"


def test_the_edge_is_soft() -> None:
    weights = Patch(0, 0, 100, (50.0, 50.0), (49.0 * 0.85, 49.0)).weights()
    assert weights[50, 50] == 1.0 and weights[0, 0] == weights[0, 50] == 0.0
    column = weights[:50, 50]
    assert (np.diff(column) >= 0).all() and np.diff(column).max() < 0.12
    assert weights[50, 5] < weights[5, 50]  # narrower than tall


def test_the_same_pixels_pasted_back_change_nothing() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    patch = patch_around(Box(10, 20, 40, 60), 120, 90, 1.7)
    assert np.array_equal(patch.pasted(picture, patch.cut(picture).copy()), picture)


def test_a_wide_face_is_cut_by_its_width() -> None:
    assert patch_around(Box(100, 100, 160, 140), 400, 400, 2.0).side == 120
