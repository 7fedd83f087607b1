"""What goes into segmentation networks, by the numbers of their authors' own code, and what their answers become."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from twinloop.adapters.segmenters.preparing import input_size, likely, prepared
from twinloop.domain.faces import ImageArray
from twinloop.domain.segmenters import BIREFNET, ISNET, ISNET_ANIME, MODNET, SELFIE, U2NET, SegmenterKind


def plain(red: int, green: int, blue: int, width: int = 8, height: int = 6) -> ImageArray:
    return np.full((height, width, 3), (red, green, blue), np.uint8)


WENT_IN = {
    # (colour / divisor - mean) / std, worked out by hand for (51, 102, 204); the brightest value of that is 204
    U2NET.key: ((0.25 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (1.0 - 0.406) / 0.225),
    BIREFNET.key: ((0.2 - 0.485) / 0.229, (0.4 - 0.456) / 0.224, (0.8 - 0.406) / 0.225),
    ISNET.key: (-0.3, -0.1, 0.3),
    MODNET.key: (-0.6, -0.2, 0.6),
    SELFIE.key: (0.2, 0.4, 0.8),
    ISNET_ANIME.key: (0.2, 0.4, 0.8),
}


@pytest.mark.parametrize("kind", [U2NET, BIREFNET, ISNET, MODNET, SELFIE, ISNET_ANIME], ids=lambda kind: kind.key)
def test_colours_go_in_as_the_network_was_trained_on_them(kind: SegmenterKind) -> None:
    given = prepared(plain(51, 102, 204, 16, 16), kind, (16, 16))
    assert given.tensor.shape == (16, 16, 3) and given.inside == (0, 0, 16, 16)
    assert given.tensor[3, 5] == pytest.approx(WENT_IN[kind.key], abs=1e-6)


def test_a_black_picture_is_not_divided_by_its_brightest_value() -> None:
    assert np.isfinite(prepared(plain(0, 0, 0), U2NET, (320, 320)).tensor).all()


def test_most_stretch_the_picture_and_one_has_black_beside_it() -> None:
    tall = plain(255, 255, 255, width=10, height=40)
    assert prepared(tall, ISNET, (64, 64)).tensor.min() == pytest.approx(0.5)
    given = prepared(tall, ISNET_ANIME, (64, 64))
    assert given.inside == (24, 0, 40, 64)
    assert given.tensor[:, 24:40].min() == 1.0 and given.tensor[:, :24].max() == given.tensor[:, 40:].max() == 0.0


@pytest.mark.parametrize(
    ("picture", "size"),
    [
        ((2000, 1000), (1024, 512)),  # both sides are larger: the shorter becomes 512
        ((1000, 2000), (512, 1024)),
        ((300, 200), (768, 512)),  # both are smaller
        ((1000, 333), (992, 320)),  # 512 lies between them: as it is, in steps of 32
        ((513, 20), (512, 32)),
    ],
)
def test_modnet_takes_multiples_of_32(picture: tuple[int, int], size: tuple[int, int]) -> None:
    assert input_size(MODNET, *picture) == size


def test_the_others_take_their_own_size() -> None:
    assert input_size(U2NET, 4000, 3000) == (320, 320) and input_size(BIREFNET, 10, 10) == (1024, 1024)


def test_answers_become_shares() -> None:
    whole = (0, 0, 2, 2)
    logits = np.array([[-200.0, 0.0], [200.0, 2.0]], np.float32)
    assert likely(logits, BIREFNET, whole) == pytest.approx(np.array([[0, 0.5], [1, 0.880797]]), abs=1e-6)
    answer = np.array([[0.1, 0.2], [0.6, 0.35]], np.float32)
    assert likely(answer, U2NET, whole) == pytest.approx(np.array([[0, 0.2], [1, 0.5]]), abs=1e-6)
    assert likely(answer, SELFIE, whole) == pytest.approx(answer)
    assert likely(answer, SELFIE, (1, 0, 2, 2)) == pytest.approx(answer[:, 1:]), "without what lies beside the picture"
    assert likely(np.array([[-0.2, 1.4]], np.float32), SELFIE, (0, 0, 2, 1)).tolist() == [[0.0, 1.0]]


def test_noise_is_not_stretched_to_a_subject() -> None:
    faint = np.array([[0.01, 0.3]], np.float32)
    assert likely(faint, U2NET, (0, 0, 2, 1)) == pytest.approx(faint)
    even = np.full((2, 2), 0.9, np.float32)
    assert likely(even, dataclasses.replace(U2NET), (0, 0, 2, 2)) == pytest.approx(even), "nor is what has no range"
