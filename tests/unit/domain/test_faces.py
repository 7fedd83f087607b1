"""Boxes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.hand_points import shaped_hand
from twinloop.domain.faces import Box

coordinates = st.floats(-200, 400)
boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h), coordinates, coordinates, st.floats(0.01, 300), st.floats(0.01, 300)
)


@given(boxes, boxes)
def test_overlap_is_a_share_and_does_not_depend_on_the_order(a: Box, b: Box) -> None:
    assert 0 <= a.iou(b) <= 1 + 1e-9
    assert a.iou(b) == b.iou(a)


@given(boxes)
def test_a_box_overlaps_itself_wholly_and_one_beside_it_not_at_all(box: Box) -> None:
    assert abs(box.iou(box) - 1) < 1e-9
    assert box.iou(Box(box.x1, box.y0, box.x1 + 10, box.y1)) == 0


def test_overlap_of_a_known_pair() -> None:
    assert Box(0, 0, 10, 10).iou(Box(5, 0, 15, 10)) == 50 / 150


def test_an_empty_box_overlaps_nothing() -> None:
    assert Box(5, 5, 5, 5).iou(Box(5, 5, 5, 5)) == 0
    assert Box(9, 9, 3, 3).area == 0


@given(boxes, st.integers(1, 300), st.integers(1, 300))
def test_a_clipped_box_lies_inside_the_image(box: Box, width: int, height: int) -> None:
    inside = box.clipped(width, height)
    assert 0 <= inside.x0 <= inside.x1 <= width
    assert 0 <= inside.y0 <= inside.y1 <= height
    assert inside.area <= box.area + 1e-6


def test_growing_keeps_the_centre() -> None:
    grown = Box(10, 20, 30, 60).expanded(0.5)
    assert grown == Box(0, 0, 40, 80)
    assert grown.center == (20, 40)


def test_hands_of_one_shape_are_equal_wherever_their_landmarks_lie_in_memory() -> None:
    one, same = shaped_hand(), shaped_hand()
    assert one.shape is not None and same.shape is not None and one.shape is not same.shape
    moved = replace(same.shape, landmarks=same.shape.landmarks + 1)
    assert one == same and hash(one) == hash(same) and len({one, same}) == 1
    assert one.shape not in (moved, replace(same.shape, spread=0.5), None)
