"""The weights of the error inside and outside of a face."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from twinloop.adapters.diffusion.framing import frame  # noqa: E402
from twinloop.adapters.trainers.masks import MARGIN, face_mask  # noqa: E402
from twinloop.domain.faces import Box  # noqa: E402

FRAMING = frame(256, 256, 128, 32, buckets=False)
SHAPE = (16, 16)


def test_inside_counts_so_many_times_as_much_as_outside() -> None:
    # with its margin the box covers the left half, from the 4th to the 12th cell of 16 pixels
    face = Box(64 - 0.0, 64 + MARGIN * 64, 64 + 128 / 1.5, 64 + 128)
    mask = face_mask(face, FRAMING, SHAPE, 5.0)[0]
    assert mask.max() / mask.min() == pytest.approx(5.0)
    assert float(mask.mean()) == pytest.approx(1.0)


def test_the_box_lands_where_the_face_is_after_scaling_and_cropping() -> None:
    framing = frame(400, 200, 128, 32, buckets=False)  # scaled to 256 x 128, 64 pixels cut off left and right
    mask = face_mask(Box(190, 90, 210, 110), framing, SHAPE, 9.0)[0]
    heavy = (mask > mask.min() * 1.01).nonzero()
    assert (heavy.float().mean(0) == 7.5).all()  # the middle of the photo is the middle of the picture
    outside = face_mask(Box(0, 90, 20, 110), framing, SHAPE, 9.0)[0]
    assert float(outside.max()) == float(outside.min()) == 1.0


def test_the_margin_is_a_quarter_of_the_face_on_each_side() -> None:
    """A face at 96 to 160 of 256 pixels is heavy from 80 to 176: the cells 5 to 10 of 16, both ways."""
    mask = face_mask(Box(96, 96, 160, 160), FRAMING, SHAPE, 5.0)[0]
    heavy = mask > mask.min() * 1.01
    for axis in (0, 1):
        assert heavy.any(axis).nonzero().flatten().tolist() == list(range(5, 11))


@given(st.floats(0, 250), st.floats(0, 250), st.floats(1, 200), st.floats(1, 50))
@settings(max_examples=50, deadline=None)
def test_the_mean_is_one_and_nothing_is_negative(x: float, y: float, size: float, weight: float) -> None:
    mask = face_mask(Box(x, y, x + size, y + size), FRAMING, SHAPE, weight)
    assert mask.shape == (1, *SHAPE) and float(mask.mean()) == pytest.approx(1.0, abs=1e-4)
    assert float(mask.min()) > 0 and float(mask.max() / mask.min()) <= weight * 1.001


def test_no_face_and_no_weight_are_flat() -> None:
    for mask in (face_mask(None, FRAMING, SHAPE, 5.0), face_mask(Box(10, 10, 90, 90), FRAMING, SHAPE, 1.0)):
        assert torch.equal(mask, torch.ones(1, *SHAPE))
