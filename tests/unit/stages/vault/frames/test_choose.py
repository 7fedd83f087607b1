"""Which frames are taken: every angle and expression, nothing twice, nothing blurred."""

from __future__ import annotations

from collections import Counter

import numpy as np

from twinloop.domain.faces import HeadPose
from twinloop.domain.video import FaceInFrame, SeenFrame
from twinloop.stages.vault.frames.choose import angle, choose, expression, near_alike

PICTURES = [f"{int(value):016x}" for value in np.random.default_rng(0).integers(0, 1 << 63, 100)]


def frame(
    index: int,
    yaw: float | None = 0.0,
    picture: int = 0,
    quality: float = 0.5,
    sharpness: float = 100.0,
    shown: str = "",
) -> SeenFrame:
    pose = None if yaw is None else HeadPose(yaw, 0.0, 0.0)
    measures = {"sharpness": sharpness} | ({f"expression.{shown}": 0.9} if shown else {})
    return SeenFrame(index, index / 2, 80.0, PICTURES[picture], FaceInFrame(quality, pose, measures))


def test_a_turn_among_many_front_views_gives_every_angle() -> None:
    seen = [frame(n, 2.0, n) for n in range(60)]
    seen += [frame(60 + n, yaw, 60 + n) for n, yaw in enumerate((-80, -60, -35, 30, 45, 75))]
    taken = choose(seen, 12).frames
    assert Counter(map(angle, taken)) == {
        "front": 6, "profile_left": 2, "three_quarter_left": 1, "three_quarter_right": 2, "profile_right": 1,
    }  # fmt: skip
    assert [one.index for one in taken] == sorted(one.index for one in taken)


def test_expressions_of_one_angle_take_turns() -> None:
    seen = [frame(n, 0.0, n, shown="neutral" if n < 30 else "smile") for n in range(33)]
    assert Counter(map(expression, choose(seen, 6).frames)) == {"neutral": 3, "smile": 3}


def test_of_near_alike_frames_the_best_stays() -> None:
    choice = choose([frame(n, n % 3, quality=0.9 if n == 7 else 0.4) for n in range(20)], 40)
    assert [one.index for one in choice.frames] == [7] and choice.alike == 19


def test_what_differs_in_pose_expression_or_picture_is_not_alike() -> None:
    a = frame(0)
    assert near_alike(a, frame(1, 7.0))
    assert not near_alike(a, frame(1, 9.0))
    assert not near_alike(a, frame(1, picture=1))
    assert not near_alike(frame(0, shown="smile"), SeenFrame(1, 0.5, 80.0, PICTURES[0]))
    smiling, serious = frame(0, shown="smile"), frame(1, shown="smile")
    serious = SeenFrame(1, 0.5, 80.0, PICTURES[0], FaceInFrame(0.5, None, {"expression.smile": 0.1}))
    assert not near_alike(smiling, serious)


def test_blurred_frames_are_left_out_by_angle() -> None:
    fronts = [frame(n, 0.0, n, sharpness=400.0) for n in range(10)] + [frame(10, 0.0, 10, sharpness=100.0)]
    profiles = [frame(20 + n, 70.0, 20 + n, sharpness=100.0) for n in range(3)]
    choice = choose([*fronts, *profiles], 40)
    assert choice.blurred == 1 and {one.index for one in choice.frames} == {*range(10), 20, 21, 22}


def test_without_faces_the_sharpest_different_ones_are_taken() -> None:
    seen = [SeenFrame(n, n / 2, float(100 + n), PICTURES[n // 2]) for n in range(10)]
    assert [one.index for one in choose(seen, 3).frames] == [5, 7, 9]
