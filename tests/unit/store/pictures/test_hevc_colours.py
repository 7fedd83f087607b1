"""HEICs whose colours only their stream tells are seen as those whose container tells them, too."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.helpers.hevc import heic
from twinloop.errors import UnreadableImage
from twinloop.store.pictures.hevc_colours import code_points_of_stream
from twinloop.store.pictures.images import decode

NCLX = b"colrnclx"


def picture(primaries: int, transfer: int, matrix: int = 9) -> bytes:
    pixels = np.full((64, 64, 3), 8000, np.uint16)
    pixels[:32] = (45000, 30000, 20000)
    return heic(pixels, primaries, transfer, matrix)


def told_by_the_stream_alone(data: bytes) -> bytes:
    assert data.count(NCLX) == 1
    return data.replace(NCLX, b"freenclx")


@pytest.mark.parametrize(("primaries", "transfer"), [(9, 16), (9, 18), (12, 13), (1, 13)])
def test_they_are_the_containers(primaries: int, transfer: int) -> None:
    told = picture(primaries, transfer)
    alone = told_by_the_stream_alone(told)
    assert code_points_of_stream(alone) == (primaries, transfer)
    assert np.array_equal(decode(alone), decode(told))


def test_hdr_looks_otherwise_than_its_numbers() -> None:
    """What is wrong where nobody looks into the stream."""
    seen = decode(told_by_the_stream_alone(picture(9, 16))).astype(int)
    plain = decode(told_by_the_stream_alone(picture(1, 13))).astype(int)
    assert np.abs(seen - plain).max() > 20


def test_the_container_goes_first() -> None:
    data = picture(9, 16)
    at = data.index(NCLX) + len(NCLX)
    other = data[:at] + (12).to_bytes(2, "big") + (13).to_bytes(2, "big") + data[at + 4 :]
    assert code_points_of_stream(other) == (9, 16)
    assert not np.array_equal(decode(other), decode(data))


def test_damage_is_no_defect() -> None:
    whole, chance = told_by_the_stream_alone(picture(9, 16)), random.Random(1)
    at = whole.index(b"hvcC")
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(3):
            data[at + 4 + chance.randrange(110)] = chance.randrange(256)
        code_points_of_stream(bytes(data))
        code_points_of_stream(bytes(data[: chance.randrange(len(data))]))
    with pytest.raises(UnreadableImage):
        decode(whole[:200])
