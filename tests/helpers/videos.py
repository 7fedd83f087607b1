"""Small videos for tests, written with OpenCV, and what phones write into the headers of theirs."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from twinloop.adapters.fakes import FakeTruth, fake_image
from twinloop.domain.faces import ImageArray
from twinloop.nano.world.params import Scene, sample_identity
from twinloop.nano.world.render import render

RATE = 10
"""Pictures a second."""
_SINCE_1904 = 2_082_844_800


def write_video(path: Path, pictures: Iterable[ImageArray]) -> Path:
    """MPEG-4 in what the suffix says, Motion JPEG in an AVI; `RATE` pictures a second."""
    kind = "MJPG" if path.suffix == ".avi" else "mp4v"
    writer = None
    for picture in pictures:
        if writer is None:
            size = picture.shape[1], picture.shape[0]
            writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*kind), RATE, size)
            assert writer.isOpened()
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert writer is not None
    writer.release()
    return path


def fake_video(path: Path, yaws: Sequence[float], *, person: int = 15, seed: int = 0) -> Path:
    """One fake picture for every yaw, each held for half a second: what the fake detectors read."""
    truths = [FakeTruth(yaw=yaw, person=person) for yaw in yaws for _ in range(RATE // 2)]
    return write_video(
        path, (fake_image(truth, seed + number // (RATE // 2), 128) for number, truth in enumerate(truths))
    )


def head_turn(path: Path, yaws: Sequence[float], size: int = 192) -> Path:
    """A drawn head that turns, for the embedded detectors."""
    who = sample_identity(np.random.default_rng(5))
    scene = Scene(framing="portrait", lighting="normal", setting="studio", expression="neutral")
    return write_video(path, (render(who, replace(scene, yaw=float(yaw)), size).image for yaw in yaws))


def set_creation_time(path: Path, seconds: int) -> None:
    """Have an MP4 say when it was taken, in seconds since 1970."""
    data = bytearray(path.read_bytes())
    place = data.index(b"mvhd") + 8
    data[place : place + 4] = struct.pack(">I", seconds + _SINCE_1904)
    path.write_bytes(data)


def lay_on_its_side(path: Path) -> None:
    """Have an MP4 say that its pictures are to be turned by a quarter, clockwise."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44
    data[place : place + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
