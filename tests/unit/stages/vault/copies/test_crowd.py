"""Of many look-alikes a photo's own copies come first."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tests.unit.stages.vault.copies.makers import picture, thumbnail
from twinloop.stages.same_picture.alignment import Thumbnail
from twinloop.stages.vault.copies.crowd import Crowd


def look_alikes(count: int) -> list[Image.Image]:
    """One view, each time with a quarter of another picture laid over it."""
    return [Image.blend(picture(0), picture(number), 0.25) for number in range(1, count + 1)]


def test_copies_come_first_and_what_shows_nothing_last() -> None:
    photos = look_alikes(20)
    copies = [
        photos[3].resize((160, 120)),
        photos[3].point(lambda value: value * 0.8),
        photos[3].crop((6, 5, 314, 235)),
    ]
    every: list[Thumbnail | None] = [*map(thumbnail, [*photos, *copies]), None]
    asked: list[int] = []

    def of(number: int) -> Thumbnail | None:
        asked.append(number)
        return every[number]

    crowd = Crowd(of)
    for photo in (3, 20):
        ordered = crowd.nearest_first(photo, set(range(24)) - {photo})
        assert set(ordered[:3]) == {3, 20, 21, 22} - {photo} and ordered[-1] == 23
        assert sorted([*ordered, photo]) == list(range(24))
    assert sorted(asked) == list(range(24)), "each is opened once"
    assert crowd.nearest_first(3, ()) == []


def test_equal_ones_come_by_number() -> None:
    flat = Thumbnail(Image.fromarray(np.zeros((64, 64), np.uint8)))
    assert Crowd(lambda number: flat).nearest_first(2, [5, 1, 4]) == [1, 4, 5]
