"""Measures without a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from twinloop.domain.faces import Box, ImageArray
from twinloop.stages.pixels import (
    face_measures,
    grey,
    hash_distance,
    image_measures,
    laplacian_variance,
    perceptual_hash,
)


def scene(seed: int, size: int = 128) -> ImageArray:
    """A smooth random picture, as different from another seed's as two photos are."""
    small = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC))


def edited(image: ImageArray, how: str) -> ImageArray:
    picture = Image.fromarray(image)
    if how == "smaller":
        picture = picture.resize((61, 61), Image.Resampling.LANCZOS)
    elif how == "jpeg":
        import io

        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=40)
        picture = Image.open(buffer)
    elif how == "brighter":
        picture = picture.point(lambda value: min(255, round(value * 1.15 + 5)))
    elif how == "softer":
        picture = picture.filter(ImageFilter.GaussianBlur(1.5))
    return np.asarray(picture)


@pytest.mark.parametrize("how", ["smaller", "jpeg", "brighter", "softer"])
def test_the_hash_survives_what_makes_near_duplicates(how: str) -> None:
    distances = [hash_distance(perceptual_hash(scene(n)), perceptual_hash(edited(scene(n), how))) for n in range(12)]
    assert np.median(distances) <= 2
    assert max(distances) <= 6


def test_hashes_of_different_pictures_are_far_apart() -> None:
    hashes = [perceptual_hash(scene(n)) for n in range(30)]
    distances = [hash_distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > 10
    assert 28 < np.mean(distances) < 36


def test_near_duplicates_nobody_here_made(fixtures: Path) -> None:
    folder = fixtures / "images" / "imagededup" / "mixed_images"
    hashes = {
        p.stem: perceptual_hash(np.asarray(Image.open(p).convert("RGB"))) for p in folder.glob("ukbench00120*.jpg")
    }
    assert hash_distance(hashes["ukbench00120"], hashes["ukbench00120_resize"]) <= 2
    assert hash_distance(hashes["ukbench00120"], hashes["ukbench00120_hflip"]) > 10


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_hash_distance_counts_bits(a: int, b: int) -> None:
    first, second = f"{a:016x}", f"{b:016x}"
    assert hash_distance(first, second) == hash_distance(second, first) == bin(a ^ b).count("1")
    assert hash_distance(first, first) == 0


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 255))
def test_any_size_and_any_flat_colour_has_numbers(height: int, width: int, value: int) -> None:
    flat = np.full((height, width, 3), value, np.uint8)
    measures = image_measures(flat)
    assert measures["sharpness"] == pytest.approx(0, abs=1e-3)
    assert measures["brightness"] == pytest.approx(value, abs=1e-3)
    assert len(perceptual_hash(flat)) == 16
    assert all(np.isfinite(number) for number in measures.values())


def test_sharpness_of_a_known_pattern() -> None:
    """A checkerboard of 0 and 1: the Laplacian is +-4 everywhere, so its variance is 16."""
    board = (np.indices((20, 20)).sum(axis=0) % 2).astype(np.float32)
    assert laplacian_variance(board) == pytest.approx(16)


def test_blur_lowers_sharpness() -> None:
    noisy = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    assert image_measures(edited(noisy, "softer"))["sharpness"] < 0.05 * image_measures(noisy)["sharpness"]


def test_grey_is_luma() -> None:
    assert grey(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8))[0] == pytest.approx(
        [76.245, 149.685, 29.07], abs=0.01
    )


def test_dark_and_bright_shares() -> None:
    half = np.zeros((10, 10, 3), np.uint8)
    half[:5] = 255
    measures = image_measures(half)
    assert (measures["dark_share"], measures["bright_share"], measures["contrast"]) == (0.5, 0.5, 127.5)


def test_face_sharpness_does_not_depend_on_the_image_size() -> None:
    small = scene(1, 160)
    large = np.asarray(Image.fromarray(small).resize((640, 640), Image.Resampling.BICUBIC))
    a = face_measures(small, Box(40, 40, 120, 120))["face_sharpness"]
    b = face_measures(large, Box(160, 160, 480, 480))["face_sharpness"]
    assert b == pytest.approx(a, rel=0.25)
    assert image_measures(large)["sharpness"] < 0.5 * image_measures(small)["sharpness"], (
        "the measure of the whole image does"
    )


def test_a_face_at_the_edge_or_outside() -> None:
    image = scene(1, 100)
    assert face_measures(image, Box(-20, 50, 30, 130))["face_share"] == pytest.approx(0.8)
    assert set(face_measures(image, Box(200, 200, 240, 240))) == {"face_share"}
    assert set(face_measures(image, Box(10, 10, 12, 12))) == {"face_share"}
