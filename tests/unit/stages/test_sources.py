"""Which real photos a shot starts from, or is shown."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.things import face, observation
from twinloop.domain.faces import Box
from twinloop.stages.sources import NEAR, Source, choose, source_of, sources_from_json, sources_json

YAWS = (0.0, 5.0, -8.0, 25.0, -30.0, 44.0, 62.0, -70.0, -66.0, 12.0, -15.0, 3.0)
PHOTOS = tuple(Source(f"{number:02d}.jpg", yaw, 0.8) for number, yaw in enumerate(YAWS))
BOX = Box(20, 20, 70, 80)
"""Of `things.face`."""
BY_PATH = {photo.path: photo for photo in PHOTOS}
numbers = st.one_of(st.none(), st.floats(-90, 90))
sources = st.lists(
    st.builds(Source, st.text("abc", min_size=1, max_size=4), numbers, st.one_of(st.none(), st.floats(0, 1))),
    min_size=1,
    unique_by=lambda s: s.path,
)


def starts(angle: str, turn: int = 0, photos: Sequence[Source] = PHOTOS) -> set[str]:
    return {choose(photos, angle, turn, 1, random.Random(seed))[0] for seed in range(200)}


def yaws(paths: set[str]) -> set[float]:
    return {BY_PATH[path].yaw or 0.0 for path in paths}


def test_a_shot_starts_from_a_photo_that_is_near_in_pose() -> None:
    assert yaws(starts("profile", turn=0)) == {-70.0, -66.0, -30.0, -15.0}
    assert yaws(starts("profile", turn=1)) == {62.0, 44.0, 25.0, 12.0}
    assert all(abs(yaw) < 20 for yaw in yaws(starts("front")))
    assert yaws(starts("three_quarter", turn=1)) == {25.0, 44.0, 62.0, 12.0}


def test_the_wanted_side_comes_first() -> None:
    few = tuple(Source(f"{yaw}.jpg", yaw, 0.5) for yaw in (60.0, 65.0, 70.0, -60.0, -65.0, -70.0))
    assert starts("profile", 1, few) == {"60.0.jpg", "65.0.jpg", "70.0.jpg"}
    assert starts("profile", 0, few) == {"-60.0.jpg", "-65.0.jpg", "-70.0.jpg"}


def test_of_equal_poses_the_better_faces_are_taken() -> None:
    photos = tuple(Source(f"{number}.jpg", 0.0, number / 10) for number in range(9))
    assert starts("front", 0, photos) == {"8.jpg", "7.jpg", "6.jpg"}


def test_where_no_pose_was_measured_or_any_will_do_every_photo_may_be_the_start() -> None:
    unknown = tuple(Source(f"{number}.jpg") for number in range(5))
    assert len(starts("profile", 0, unknown)) == 5
    assert len(starts("", 0)) == len(starts("upside_down", 0)) == len(PHOTOS)


def test_further_photos_show_the_head_from_other_sides() -> None:
    for seed in range(20):
        chosen = choose(PHOTOS, "profile", 0, 3, random.Random(seed))
        found = sorted(BY_PATH[path].yaw or 0.0 for path in chosen)
        assert min(b - a for a, b in pairwise(found)) >= 40


def test_a_bad_face_is_not_shown_beside_good_ones() -> None:
    photos = (Source("start.jpg", 60.0, 0.9), Source("good.jpg", 10.0, 0.9), Source("bad.jpg", 0.0, 0.1))
    begun = [choose(photos, "profile", 1, 2, random.Random(seed)) for seed in range(50)]
    assert {chosen for chosen in begun if chosen[0] == "start.jpg"} == {("start.jpg", "good.jpg")}


@given(
    sources,
    st.sampled_from(["front", "three_quarter", "profile", ""]),
    st.integers(0, 1),
    st.integers(1, 6),
    st.integers(0, 99),
)
def test_always_as_many_different_photos_as_there_are(
    photos: list[Source], angle: str, turn: int, count: int, seed: int
) -> None:
    chosen = choose(photos, angle, turn, count, random.Random(seed))
    assert len(set(chosen)) == len(chosen) == min(count, len(photos))
    assert set(chosen) <= {photo.path for photo in photos}
    assert chosen == choose(photos, angle, turn, count, random.Random(seed))
    assert chosen[0] == choose(photos, angle, turn, 1, random.Random(seed))[0]


def test_at_least_a_few_are_near() -> None:
    assert len(starts("profile", 0, PHOTOS[:4])) == NEAR


def test_what_was_measured_decides() -> None:
    assert source_of("a.jpg", observation(faces=[face(31.26, 0.7)])) == Source("a.jpg", 31.3, face=BOX), (
        "a detector's confidence is no quality"
    )
    assert source_of("a.jpg", observation(measures={"face_quality": 0.25})) == Source("a.jpg", 0.0, 0.25, BOX)
    assert source_of("a.jpg", observation(faces=[face(None)])) == Source("a.jpg", face=BOX)
    assert source_of("a.jpg", observation(faces=[])) == Source("a.jpg", None, 0.0)


def test_they_are_read_as_they_were_written() -> None:
    photos = (*PHOTOS, Source("a.jpg", None, 0.5, BOX))
    assert sources_from_json(json.loads(json.dumps(sources_json(photos)))) == photos
    assert "face" not in sources_json(PHOTOS)["photos"][0]
