"""Photos of any shape fit their bucket: nothing distorted, nothing outside, never more pixels than the resolution
allows.
"""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from twinloop.adapters.diffusion.framing import WIDEST, bucket_for, cover, frame, own_bucket, remark_on_sizes
from twinloop.domain.faces import Box

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


@given(SIDES, SIDES, RESOLUTIONS)
@settings(max_examples=200, deadline=None)
def test_no_photo_is_enlarged_to_a_bucket(width: int, height: int, size: tuple[int, int]) -> None:
    resolution, step = size
    made = frame(width, height, resolution, step, buckets=True)
    assert made.width % step == 0 and made.height % step == 0
    assert made.width * made.height <= resolution * resolution
    assert max(made.bucket) / min(made.bucket) <= WIDEST
    if min(width, height) >= step:
        assert made.scaled[0] <= width and made.scaled[1] <= height
    kept = made.width * made.height / (made.scaled[0] * made.scaled[1])
    if min(width, height) >= 4 * step and max(width, height) <= WIDEST * min(width, height):
        assert kept >= 0.75  # of the picture: what rounding to steps cuts off


def test_small_photos_keep_their_size() -> None:
    assert own_bucket(192, 192, 1024, 64) == (192, 192)
    assert own_bucket(700, 500, 1024, 64) == (640, 448)
    assert own_bucket(40, 3000, 1024, 64) == (64, 128)
    made = frame(700, 500, 1024, 64, buckets=True)
    assert made.bucket == (640, 448) and made.scaled == (640, 457)
    assert frame(1000, 1300, 1024, 64, buckets=True).bucket == (896, 1152)  # large enough for its bucket
    assert frame(192, 192, 256, 32, buckets=False).scaled == (256, 256)


def test_usual_buckets() -> None:
    assert bucket_for(3000, 4000, 1024, 64) == (896, 1152)
    assert bucket_for(4000, 4000, 1024, 64) == (1024, 1024)
    assert bucket_for(9000, 1000, 1024, 64) == (1408, 704)
    assert bucket_for(300, 400, 256, 32) == (224, 288)


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    assert np.array_equal(cover(96, 64, 96, 64).apply(image), image)


def test_a_smaller_picture_is_the_mean_of_what_it_covers() -> None:
    """A checkerboard of single pixels becomes grey; every second pixel alone would be all black or all white."""
    board = np.repeat((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    made = cover(64, 64, 32, 32).apply(board)
    assert made.shape == (32, 32, 3) and np.ptp(made) < 60 and 100 < made.mean() < 155


def test_the_middle_is_kept() -> None:
    image = np.zeros((64, 192, 3), np.uint8)
    image[:, 64:128] = 255
    made = cover(192, 64, 64, 64).apply(image)
    assert made.shape == (64, 64, 3) and made.min() == 255


@given(SIDES, SIDES, RESOLUTIONS, st.booleans(), st.data())
@settings(max_examples=200, deadline=None)
def test_the_face_is_in_the_crop_and_the_crop_moves_no_further_than_for_that(
    width: int, height: int, size: tuple[int, int], buckets: bool, data: st.DataObject
) -> None:
    wide, tall = data.draw(st.integers(1, width)), data.draw(st.integers(1, height))
    x, y = data.draw(st.integers(0, width - wide)), data.draw(st.integers(0, height - tall))
    face = Box(x, y, x + wide, y + tall)
    middle = frame(width, height, *size, buckets=buckets)
    made = frame(width, height, *size, buckets=buckets, face=face)
    assert (made.bucket, made.scaled) == (middle.bucket, middle.scaled)
    across, down = made.scaled[0] / width, made.scaled[1] / height
    for start, usual, kept, whole, first, last in (
        (made.left, middle.left, made.width, made.scaled[0], x * across, (x + wide) * across),
        (made.top, middle.top, made.height, made.scaled[1], y * down, (y + tall) * down),
    ):
        assert 0 <= start <= whole - kept
        if last - first <= kept - 1:
            assert start <= first + 1 and start + kept >= last - 1
            if usual <= first and usual + kept >= last:
                assert start == usual


def test_a_face_at_the_end_of_a_panorama_is_kept() -> None:
    image = np.zeros((500, 3000, 3), np.uint8)
    image[100:300, 2700:2850] = 255
    face = Box(2700, 100, 2850, 300)
    made = frame(3000, 500, 512, 64, buckets=True, face=face)
    assert made.apply(image).sum() > 0.9 * image.sum() * (made.scaled[1] / 500) ** 2
    assert frame(3000, 500, 512, 64, buckets=True).apply(image).sum() == 0, "the middle shows nobody"
    assert frame(3000, 500, 512, 64, buckets=True, face=Box(1400, 100, 1550, 300)) == frame(
        3000, 500, 512, 64, buckets=True
    )


def test_of_a_face_larger_than_the_crop_the_middle_is_kept() -> None:
    assert cover(400, 100, 100, 100, Box(0, 0, 200, 100)).left == 50


def test_small_photos_are_named() -> None:
    sizes = [(2000, 2000), (192, 200), (700, 500)]
    said = remark_on_sizes([frame(*size, 1024, 64, buckets=True) for size in sizes], 1024, 64)
    assert "2 of 3 pictures" in said and "192 x 192" in said and "not enlarged" in said
    assert "2 of 3 pictures" in remark_on_sizes([frame(*size, 1024, 64, buckets=False) for size in sizes], 1024, 64)
    assert remark_on_sizes([frame(2000, 1500, 1024, 64, buckets=True)], 1024, 64) == ""
    assert remark_on_sizes([frame(2000, 1500, 256, 32, buckets=False)], 256, 32) == "", "cut square, and large enough"
    # a step that is half the resolution knows no finer size: nothing is small
    assert remark_on_sizes([frame(96, 192, 64, 32, buckets=True)], 64, 32) == ""
