"""The order in which the best of a group is chosen."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from twinloop.stages.vault.copies.ranking import Ranking, score
from twinloop.store.vault.summaries import PhotoSummary


def photo(name: str, **changes: Any) -> PhotoSummary:
    usual: dict[str, Any] = {
        "sha256": name,
        "path": f"/photos/{name}.jpg",
        "size": 1000,
        "width": 100,
        "height": 100,
        "phash": 0,
        "taken": None,
        "origin": "real",
        "face": {"sharpness": 100.0, "eyes_open": 0.9},
    }
    return PhotoSummary(**{**usual, **changes})


LADDER = [
    (photo("z", origin="synthetic", face={}), "you chose it"),
    (photo("y", face={"sharpness": 70.0}), "a real photo"),
    (photo("x", origin="synthetic", width=999, size=9999, face={"sharpness": 125.0}), None),
]
PAIRS = [
    ({"face": {"sharpness": 100.0}}, {"face": {"sharpness": 79.0}, "width": 900}, "the sharper face"),
    ({"width": 120, "face": {"sharpness": 81.0}}, {"face": {"sharpness": 100.0}, "size": 9000}, "more pixels"),
    ({}, {"face": {"sharpness": 100.0, "eyes_open": 0.1}, "size": 9000}, "the eyes are open"),
    ({}, {"path": "/a.gif", "size": 9000}, "more colours"),
    ({"size": 1001}, {"path": "/a.jpg"}, "the larger file"),
    ({"path": "/photos/a.jpg"}, {"path": "/photos/b.jpg"}, "the first path"),
    ({"face": {"sharpness": 100.0}}, {"face": {}, "width": 900}, "the sharper face"),
    ({"face": {}, "width": 101}, {"face": {}}, "more pixels"),
]


@pytest.mark.parametrize(("better", "worse", "words"), PAIRS)
def test_one_thing_decides_after_the_other(better: dict[str, Any], worse: dict[str, Any], words: str) -> None:
    one, other = photo("m", **better), photo("a", **worse)
    assert Ranking({}).ordered([other, one])[0] == one
    assert Ranking({}).why(one, [other]) == words


def test_of_two_blurred_faces_the_less_blurred_is_better() -> None:
    sharp, soft, softer = (
        photo(name, face={"sharpness": 10.0 * value}) for name, value in (("c", 10), ("b", 7), ("a", 5))
    )
    assert Ranking({}).ordered([softer, soft, sharp]) == [sharp, soft, softer]


def test_the_users_wish_then_real_before_synthetic() -> None:
    chosen, real, made = (item for item, _ in LADDER)
    photos = [made, real, chosen]
    for seed in range(5):
        random.Random(seed).shuffle(photos)
        assert Ranking({"z": 3}).ordered(photos) == [chosen, real, made]
    assert Ranking({"z": 3}).why(chosen, [real, made]) == "you chose it"
    assert Ranking({}).why(real, [made]) == "a real photo"
    assert Ranking({"z": 3, "y": 4}).ordered(photos)[0] == real


def test_what_is_there_comes_before_what_is_away_and_before_a_wish() -> None:
    away, here = photo("a", width=900), photo("z", path="/here/z.jpg")
    ranking = Ranking({"a": 3}, frozenset({Path("/photos")}))
    assert ranking.ordered([away, here]) == [here, away]
    assert ranking.why(here, [away]) == "the others are not there now"
    assert ranking.ordered([photo("b"), away]) == [away, photo("b")], "both are away"


def test_a_photo_on_its_side_ranks_below_its_upright_copy() -> None:
    lying, upright = photo("a", width=900, size=9999), photo("z", face={"sharpness": 70.0})
    ranking = Ranking({}, lying={"a"})
    assert ranking.ordered([lying, upright]) == [upright, lying]
    assert ranking.why(upright, [lying]) == "the face is upright"
    assert Ranking({"a": 1}, lying={"a"}).ordered([upright, lying])[0] == lying, "the user chose it"


def test_what_was_not_measured_is_none() -> None:
    shown = score(photo("a", face={}))
    assert shown["face_sharpness"] is None and shown["eyes_open"] is None
    assert shown["width"] == 100
