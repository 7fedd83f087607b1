"""Cuts: never enlarged, never over the area, multiples of 64, the face inside, the head where it can be, other faces
outside where they can be.
"""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from twinloop.domain import crops
from twinloop.domain.choices import FRAMINGS
from twinloop.domain.crops import FINE_BELOW, FINE_STEP, LONGEST, STEP, Window, buckets, cut, head_of
from twinloop.domain.faces import Box

SIZES = st.sampled_from((256, 512, 768, 1024))


@st.composite
def photos(draw: st.DrawFn) -> tuple[int, int, Box]:
    """A photo and a face of at most half of its sides, anywhere in it."""
    width, height = draw(st.integers(160, 5000)), draw(st.integers(160, 5000))
    assume(max(width, height) <= 3 * min(width, height))
    tall = draw(st.floats(20, min(width, height) / 2))
    wide = tall * draw(st.floats(0.6, 0.95))
    x, y = draw(st.floats(0, width - wide)), draw(st.floats(0, height - tall))
    return width, height, Box(x, y, x + wide, y + tall)


def boxes(width: int, height: int) -> st.SearchStrategy[Box]:
    return st.builds(
        lambda x, y, side: Box(x * width, y * height, x * width + side * 0.8, y * height + side),
        st.floats(0, 0.95), st.floats(0, 0.95), st.floats(10, max(11, min(width, height) / 4)),
    )  # fmt: skip


@given(SIZES)
def test_buckets_are_multiples_within_the_area_and_the_shape(size: int) -> None:
    for width, height in buckets(size):
        assert width % STEP == height % STEP == 0
        assert width * height <= size * size
        assert max(width, height) <= LONGEST * min(width, height)
    assert (size, size) in buckets(size)


@given(photos(), SIZES, st.sampled_from(FRAMINGS), st.data())
def test_a_cut_lies_in_the_photo_holds_the_face_and_is_never_enlarged(
    photo: tuple[int, int, Box], size: int, framing: str, data: st.DataObject
) -> None:
    width, height, face = photo
    others = data.draw(st.lists(boxes(width, height), max_size=3))
    window = cut(width, height, face, others, framing, size)
    assume(window is not None)
    assert window is not None
    x0, y0, x1, y1 = window.box
    assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
    assert window.size in buckets(size) or (window.size == (x1 - x0, y1 - y0) and min(window.size) < FINE_BELOW)
    assert window.size[0] % FINE_STEP == window.size[1] % FINE_STEP == 0
    assert window.size[0] * window.size[1] <= size * size
    assert max(window.size) <= LONGEST * min(window.size)
    assert window.size[0] <= x1 - x0 and window.size[1] <= y1 - y0
    across, down = window.size[0] / (x1 - x0), window.size[1] / (y1 - y0)
    assert across == pytest.approx(down, rel=0.03)  # whole pixels: the shape may be off by one of them
    slack = 2 + 0.06 * face.height
    assert x0 <= face.x0 + slack and y0 <= face.y0 + slack and x1 >= face.x1 - slack and y1 >= face.y1 - slack


@pytest.mark.parametrize(
    ("width", "height", "face"),
    [
        (112, 1279, Box(61, 125, 109, 189)),
        (586, 557, Box(114, 6, 580, 538)),
        (558, 599, Box(53, 48, 552, 589)),
    ],
)
def test_a_head_too_large_for_the_cut_is_cut_off_alike_and_its_face_is_whole(
    width: int, height: int, face: Box
) -> None:
    window = cut(width, height, face, [], "keep", 1024)
    assert window is not None
    x0, y0, x1, y1 = window.box
    slack = 1 + crops.SLACK * face.height
    assert x0 <= face.x0 + slack and y0 <= face.y0 + slack and x1 >= face.x1 - slack and y1 >= face.y1 - slack
    head = head_of(face, width, height)
    assert head.width > x1 - x0 and abs((head.x0 + head.x1) - (x0 + x1)) <= 2


@given(photos(), SIZES, st.sampled_from(FRAMINGS))
def test_the_head_is_whole_wherever_the_photo_has_room(photo: tuple[int, int, Box], size: int, framing: str) -> None:
    width, height, face = photo
    head = head_of(face, width, height)
    assume(head.width < 0.6 * width and head.height < 0.6 * height and min(head.width, head.height) >= STEP)
    window = cut(width, height, face, [], framing, size)
    assert window is not None and window.head_inside


def test_a_photo_smaller_than_its_bucket_stays_small() -> None:
    window = cut(300, 400, Box(100, 100, 200, 230), [], "keep", 1024)
    assert window is not None and window.size == (296, 400) and window.scale == 1


@pytest.mark.parametrize(
    ("width", "height", "size"), [(250, 250, (248, 248)), (511, 511, (504, 504)), (64, 127, (64, 120))]
)
def test_of_few_pixels_none_is_lost_but_at_the_edges(width: int, height: int, size: tuple[int, int]) -> None:
    tall = height / 3
    window = cut(width, height, Box(0.4 * width, tall, 0.4 * width + tall / 4, 2 * tall), [], "keep", 1024)
    assert window is not None and window.size == size and window.scale == 1


def test_a_small_size_is_still_the_limit_of_a_small_photo() -> None:
    window = cut(400, 400, Box(150, 150, 250, 270), [], "keep", 256)
    assert window is not None and window.size == (256, 256)


def test_from_512_pixels_on_sides_are_multiples_of_64() -> None:
    window = cut(600, 600, Box(200, 200, 300, 330), [], "keep", 1024)
    assert window is not None and window.size == (576, 576)


def test_a_cut_that_nearly_fits_its_bucket_is_not_resampled() -> None:
    window = cut(1030, 1030, Box(400, 300, 600, 560), [], "keep", 1024)
    assert window is not None and window.size == (1024, 1024)
    assert window.box[2] - window.box[0] == 1024


def test_another_face_beside_is_cut_off() -> None:
    mine, other = Box(300, 300, 500, 560), Box(1100, 300, 1300, 560)
    window = cut(1600, 1200, mine, [other], "keep", 1024)
    assert window is not None and window.others == 0 and window.box[2] <= 1100
    assert window.head_inside


def test_another_face_that_touches_is_told() -> None:
    window = cut(1600, 1200, Box(700, 300, 900, 560), [Box(880, 300, 1080, 560)], "keep", 1024)
    assert window is not None and window.others == 1 and window.head_inside


def test_framings_cut_closer_and_closer() -> None:
    heights = []
    for framing in FRAMINGS[:3]:
        window = cut(4000, 6000, Box(1900, 1000, 2100, 1260), [], framing, 1024)
        assert window is not None
        heights.append(window.box[3] - window.box[1])
    assert heights == sorted(heights) and heights[0] < 3 * 260 < heights[1] < 6 * 260 < heights[2]


def test_a_tiny_face_is_brought_nearer_even_when_the_photo_is_kept() -> None:
    window = cut(6000, 4000, Box(3000, 1900, 3100, 2020), [], "keep", 1024)
    assert window is not None and window.box[3] - window.box[1] <= 10.1 * 120


def test_too_few_pixels_are_none() -> None:
    assert cut(60, 400, Box(10, 10, 50, 60), [], "keep", 1024) is None


def placed(width: int, height: int, face: Box, framing: str, size: int = 1024, *others: Box) -> Window:
    window = cut(width, height, face, others, framing, size)
    assert window is not None
    return window


def test_a_photo_is_cut_in_its_middle_where_the_head_allows() -> None:
    x0, y0, x1, y1 = placed(1500, 1024, Box(650, 300, 850, 560), "keep").box
    assert abs(x0 - (1500 - x1)) <= 1 and abs(y0 - (1024 - y1)) <= 1


@pytest.mark.parametrize(("left", "side", "edge"), [(0, 0, 0), (1300, 2, 1500)])
def test_a_head_at_the_edge_pulls_the_cut_to_it(left: int, side: int, edge: int) -> None:
    window = placed(1500, 1024, Box(left, 300, left + 200, 560), "face")
    assert window.head_inside and window.box[side] == edge


def test_a_close_cut_has_the_face_in_its_middle_and_a_half_body_the_head_on_top() -> None:
    face = Box(1900, 2000, 2100, 2260)
    close, half = (placed(4000, 6000, face, framing).box for framing in ("face", "half"))
    assert (close[0] + close[2]) / 2 == pytest.approx(2000, abs=12)
    assert (close[1] + close[3]) / 2 == pytest.approx(2130, abs=12)
    assert (half[0] + half[2]) / 2 == pytest.approx(2000, abs=40)
    assert 1820 <= half[1] <= 2000 - 0.45 * 260 + 2, "a little room above the hair, and no more"


@pytest.mark.parametrize(("x", "y", "inside"), [(700, 560, 1), (1180, 560, 0), (700, 1150, 0), (300, 560, 0)])
def test_other_faces_count_where_their_middle_is(x: float, y: float, inside: int) -> None:
    """On top of the subject's own head they cannot be cut off; beyond the cut they are not in it."""
    assert placed(1400, 1300, Box(600, 400, 800, 660), "face", 512, Box(x, y, x + 60, y + 80)).others == inside


def test_the_bucket_that_keeps_most_of_the_photo_wins() -> None:
    """A photo of 3:2 is cut to the nearest shape of the full area, not to a square and not to a smaller picture."""
    window = placed(3000, 2000, Box(1400, 700, 1600, 960), "keep")
    assert window.size == (1216, 832)
    x0, y0, x1, y1 = window.box
    assert (x1 - x0) * (y1 - y0) > 0.95 * 3000 * 2000


@pytest.mark.parametrize(("left", "side", "low", "high"), [(240.3, 0, 179, 180.3), (2599.7, 2, 2819.7, 2821)])
def test_a_head_beside_the_middle_just_comes_in(left: float, side: int, low: float, high: float) -> None:
    """3:1 is wider than a picture may be: it is cut where the head is not, with 0.3 of the face's height left beside
    it.
    """
    window = placed(3000, 1000, Box(left, 300, left + 160, 500), "keep")
    assert window.head_inside and low <= window.box[side] <= high


@pytest.mark.parametrize("size", [(800, 800), (1200, 700), (600, 1200), (300, 250), (2000, 1999)])
def test_a_picture_without_a_face_is_kept_whole(size: tuple[int, int]) -> None:
    window = crops.whole(*size, 1024)
    assert window is not None and window.others == 0 and window.head_inside
    x0, y0, x1, y1 = window.box
    assert 0 <= x0 < x1 <= size[0] and 0 <= y0 < y1 <= size[1]
    assert (x1 - x0) * (y1 - y0) >= 0.9 * size[0] * size[1]
    assert window.size[0] * window.size[1] <= 1024**2 and window.size[0] <= x1 - x0


def test_of_a_long_picture_the_upper_part_or_the_middle_is_kept() -> None:
    tall, wide = crops.whole(500, 2000, 1024), crops.whole(2000, 500, 1024)
    assert tall is not None and tall.box[1] == 0 and tall.box[3] <= 1030
    assert wide is not None and abs(wide.box[0] + wide.box[2] - 2000) <= 2
    assert crops.whole(63, 400, 1024) is None
