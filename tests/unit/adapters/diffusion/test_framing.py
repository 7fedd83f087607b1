"""Photos of any shape fit their bucket: nothing distorted, nothing outside, never more pixels than the resolution allows."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from twinloop.adapters.diffusion.framing import WIDEST, bucket_for, cover, frame

SIDES = st.integers(16, 6000)
RESOLUTIONS = st.sampled_from([(256, 32), (512, 64), (768, 32), (1024, 64)])


@given(SIDES, SIDES, RESOLUTIONS)
@settings(max_examples=200, deadline=None)
def test_buckets_keep_area_step_and_shape(width: int, height: int, size: tuple[int, int]) -> None:
    resolution, step = size
    wide, tall = bucket_for(width, height, resolution, step)
    assert wide % step == 0 and tall % step == 0
    assert wide * tall <= resolution * resolution
    assert max(wide, tall) / min(wide, tall) <= WIDEST
    ratio = min(max(width / height, 1 / WIDEST), WIDEST)
    assert abs(math.log(wide / tall / ratio)) <= 3 * step / resolution
    assert wide * tall >= 0.75 * resolution * resolution


@given(SIDES, SIDES, RESOLUTIONS, st.booleans())
@settings(max_examples=200, deadline=None)
def test_the_scaled_photo_covers_the_crop(width: int, height: int, size: tuple[int, int], buckets: bool) -> None:
    made = frame(width, height, *size, buckets=buckets)
    wide, tall = made.scaled
    assert 0 <= made.left <= wide - made.width and 0 <= made.top <= tall - made.height
    assert wide == made.width or tall == made.height
    assert abs(wide / width - tall / height) <= 1 / min(width, height)
    assert made.original == (width, height)
    if not buckets:
        assert made.bucket == (size[0], size[0])


def test_usual_buckets() -> None:
    assert bucket_for(3000, 4000, 1024, 64) == (896, 1152)
    assert bucket_for(4000, 4000, 1024, 64) == (1024, 1024)
    assert bucket_for(9000, 1000, 1024, 64) == (1408, 704)
    assert bucket_for(300, 400, 256, 32) == (224, 288)


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    assert np.array_equal(cover(96, 64, 96, 64).apply(image), image)


def test_the_middle_is_kept() -> None:
    image = np.zeros((64, 192, 3), np.uint8)
    image[:, 64:128] = 255
    made = cover(192, 64, 64, 64).apply(image)
    assert made.shape == (64, 64, 3) and made.min() == 255
