"""frames.json: which pictures of a folder come out of which video."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twinloop.domain.file_names import is_bare
from twinloop.store.atomic import read_as, write_json

NAME = "frames.json"


@dataclass(frozen=True)
class FrameRecord:
    """One picture. ``index``, ``second``: its place in the video. Angles in degrees as in `HeadPose`; None = not
    measured. ``angle``, ``expression``: "" = not measured, or not sure.
    """

    file: str
    index: int
    second: float
    sharpness: float
    face_sharpness: float | None
    yaw: float | None
    pitch: float | None
    angle: str
    expression: str


@dataclass(frozen=True)
class VideoRecord:
    """One video.

    Attributes:
        video: name of the file. taken: ISO time of its first picture; taken_from: ``container`` or ``file``.
        seconds: how far it could be read. complete: every picture was written.
        seen: frames that were compared. without_face, blurred, alike: stretches and frames that were left out, and why.
    """

    video: str
    sha256: str
    taken: str
    taken_from: str
    seconds: float
    complete: bool
    seen: int
    without_face: int
    blurred: int
    alike: int
    frames: tuple[FrameRecord, ...] = field(default=())


class Manifest:
    """The file in its folder, written as a whole whenever a video is begun or finished.

    Raises:
        StateError: a file of that name is there, and another program's, or it names files outside of the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._videos = {video.sha256: video for video in self._read()} if self.path.exists() else {}

    def of(self, sha256: str) -> VideoRecord | None:
        """What is known of a video."""
        return self._videos.get(sha256)

    def name_of(self, sha256: str, index: int) -> str:
        """What the picture of a chosen frame is called."""
        return next(frame.file for frame in self._videos[sha256].frames if frame.index == index)

    @property
    def names(self) -> set[str]:
        """Names of the files that belong to it, written or not."""
        return {frame.file for video in self._videos.values() for frame in video.frames}

    def put(self, record: VideoRecord) -> None:
        """Write down a video that was begun, or is finished."""
        self._videos[record.sha256] = record
        write_json(self.path, {"videos": [asdict(video) for video in self._videos.values()]})

    def finish(self, sha256: str) -> None:
        """All pictures of a video are there."""
        self.put(replace(self._videos[sha256], complete=True))

    def _read(self) -> Iterable[VideoRecord]:
        return read_as(self.path, _videos, "Choose another folder with --output, or move that file away.")


def _videos(data: Any) -> list[VideoRecord]:
    return [
        VideoRecord(**{**video, "frames": tuple(_frame(frame) for frame in video["frames"])})
        for video in data["videos"]
    ]


def _frame(data: Any) -> FrameRecord:
    """Raises ValueError for a picture outside of the folder: those that are not there are written, and a manifest may
    come from anywhere.
    """
    record = FrameRecord(**data)
    if not is_bare(record.file):
        raise ValueError(f"{record.file!r} is not the name of a file in its folder")
    return record


def iso(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601, UTC."""
    return datetime.fromtimestamp(max(seconds, 0.0), UTC).isoformat(timespec="seconds")
