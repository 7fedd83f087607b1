"""From videos to a folder of photos: every video once, whatever happens to the others."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinloop.domain.video import SeenFrame, SeenVideo, VideoTask
from twinloop.domain.wording import plural
from twinloop.errors import InputError, NothingToDo
from twinloop.ports import FrameTaker, Reporter
from twinloop.stages.vault.frames.choose import angle, choose, expression, face_sharpness
from twinloop.stages.vault.frames.manifest import FrameRecord, Manifest, VideoRecord, iso
from twinloop.store.atomic import check_writable_folder, remove_leftovers, sha256_file, write_bytes
from twinloop.store.lock import Use, locked
from twinloop.store.pictures.videos import SUFFIXES, creation_time, find_videos

FOLDER = Use(
    "another command", "Wait until that is done, then run this again.", "Choose an --output folder on a local disk."
)
CUT_OFF = 0.9
"""A video that can be read for less than this share of its length, and a second less, is cut off."""
_PERCENT = 100
_NO_PATH = str.maketrans("\\:", "__")
"""What makes a path of a name on Windows."""


@dataclass(frozen=True)
class FramePlan:
    """What to take pictures out of, and how.

    Attributes:
        sources: videos, and folders of videos. output: the folder of the pictures.
        frames_per_video: at most. per_second: as in `VideoTask`.
        taker: opens the models when it is entered; called only when there is something to look at.
    """

    sources: tuple[Path, ...]
    output: Path
    frames_per_video: int
    per_second: float
    taker: Callable[[], AbstractContextManager[FrameTaker]]


@dataclass
class TakenFrames:
    """What was done.

    Attributes:
        videos: those that pictures were taken out of, each with how many. written: new pictures in all.
        known: videos that had given theirs before. same: videos that hold the same as another of this run, each with
            that one. failed: videos without a picture, each with the reason.
        notes: of single videos, and about models.
    """

    output: Path
    videos: list[tuple[Path, VideoRecord]] = field(default_factory=list)
    written: int = 0
    known: list[Path] = field(default_factory=list)
    same: list[tuple[Path, Path]] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "output": os.fspath(self.output),
            "written": self.written,
            "videos": [
                {"path": os.fspath(path), "sha256": record.sha256, "frames": [frame.file for frame in record.frames]}
                for path, record in self.videos
            ],
            "known": [os.fspath(path) for path in self.known],
            "same": [{"path": os.fspath(path), "as": os.fspath(first)} for path, first in self.same],
            "failed": [{"path": os.fspath(path), "reason": reason} for path, reason in self.failed],
            "notes": self.notes,
        }


def take_frames(plan: FramePlan, reporter: Reporter) -> TakenFrames:
    """Take pictures out of all videos that have not given theirs yet.

    Killed at any point and run again, it goes on where it was.

    Raises:
        InputError: a source that is not there. NothingToDo: no videos. StateError: a frames.json of another program.
        MissingModel, ModelFileError: as opening the models. Locked, StorageError: as the output folder.
    """
    videos = _videos(plan.sources)
    check_writable_folder(plan.output)
    with locked(plan.output, FOLDER):
        remove_leftovers(plan.output)
        return _Taking(plan, Manifest(plan.output), reporter).run(videos)


def _videos(sources: Sequence[Path]) -> list[Path]:
    found: dict[str, Path] = {}
    for source in sources:
        if not source.exists():
            raise InputError(f"{source} is not there. Name videos, or folders of videos.")
        for path in find_videos(source) if source.is_dir() else [source]:
            found.setdefault(os.path.realpath(path), path)
    if not found:
        raise NothingToDo(
            f"No videos in {', '.join(map(str, sources))}, nor in folders below. A video is known by its ending:"
            f" {' '.join(sorted(SUFFIXES))}."
        )
    return list(found.values())


class _Taking:
    """The desk of one run: chooses, writes, and keeps the record."""

    def __init__(self, plan: FramePlan, manifest: Manifest, reporter: Reporter) -> None:
        self._plan, self._manifest, self._reporter = plan, manifest, reporter
        self._shares: dict[str, float] = {}
        self._first: dict[str, Path] = {}
        self._done = TakenFrames(plan.output)
        self._empty: dict[str, str] = {}

    def run(self, videos: Sequence[Path]) -> TakenFrames:
        tasks = [task for path in videos if (task := self._task(path)) is not None]
        if tasks:
            with self._plan.taker() as taker:
                self._done.notes += taker.notes
                for task, problem in taker.take(tasks, len(tasks), self):
                    self._settle(task, problem)
        return self._done

    def _task(self, path: Path) -> VideoTask | None:
        """What to do with a file; None where nothing is left to do."""
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # reading a FIFO would wait for ever
                self._done.failed.append((path, "is no regular file"))
                return None
            sha256 = sha256_file(path)
        except OSError as error:
            self._done.failed.append((path, f"cannot be read: {error.strerror or error}"))
            return None
        known = self._manifest.of(sha256)
        if sha256 in self._first:
            self._done.same.append((path, self._first[sha256]))
            return None
        if known is not None and known.complete:
            self._done.known.append(path)
            return None
        self._first[sha256], self._shares[sha256] = path, 0.0
        taken = creation_time(path)
        return VideoTask(
            path,
            sha256,
            status.st_mtime if taken is None else taken,
            self._plan.per_second,
            None if known is None else self._missing(known),
        )

    def _missing(self, record: VideoRecord) -> tuple[int, ...]:
        return tuple(frame.index for frame in record.frames if not os.path.lexists(self._plan.output / frame.file))

    def progress(self, task: VideoTask, share: float) -> None:
        self._shares[task.sha256] = max(self._shares[task.sha256], share)
        done = sum(self._shares.values()) / len(self._shares)
        self._reporter.progress("Taking pictures, percent", int(_PERCENT * done), _PERCENT)

    def choose(self, task: VideoTask, seen: SeenVideo) -> tuple[int, ...]:
        if (known := self._manifest.of(task.sha256)) is not None:  # a worker's second try
            return self._missing(known)
        choice = choose(seen.frames, self._plan.frames_per_video)
        if not choice.frames:
            self._empty[task.sha256] = f"no face was found in it ({plural(seen.without_face, 'place')} looked at)"
            return ()
        if seen.stated - seen.seconds > 1 and seen.seconds < CUT_OFF * seen.stated:
            self._done.notes.append(
                f"{task.path} could be read for {seen.seconds:.1f} of its {seen.stated:.1f} seconds"
            )
        record = VideoRecord(
            video=task.path.name,
            sha256=task.sha256,
            taken=iso(task.taken),
            taken_from="file" if creation_time(task.path) is None else "container",
            seconds=round(seen.seconds, 3),
            complete=False,
            seen=len(seen.frames),
            without_face=seen.without_face,
            blurred=choice.blurred,
            alike=choice.alike,
            frames=self._named(task, choice.frames),
        )
        self._manifest.put(record)
        return tuple(frame.index for frame in record.frames)

    def keep(self, task: VideoTask, index: int, jpeg: bytes) -> None:
        path = self._plan.output / self._manifest.name_of(task.sha256, index)
        if not os.path.lexists(path):
            write_bytes(path, jpeg)
            self._done.written += 1

    def _named(self, task: VideoTask, frames: Sequence[SeenFrame]) -> tuple[FrameRecord, ...]:
        """Records with names that no file of the folder has."""
        taken = self._manifest.names
        plain = task.path.stem.lstrip(".").translate(_NO_PATH)[:60]
        stem = f"{plain}_{task.sha256[:8]}"
        records = []
        for frame in frames:
            name = _free(self._plan.output, f"{stem}_{round(1000 * frame.second):07d}ms", taken)
            taken.add(name)
            records.append(_record(name, frame))
        return tuple(records)

    def _settle(self, task: VideoTask, problem: str) -> None:
        self.progress(task, 1.0)
        record = self._manifest.of(task.sha256)
        problem = problem or self._empty.get(task.sha256, "")
        if problem or record is None:
            self._done.failed.append((task.path, problem or "gave no picture"))
            return
        self._manifest.finish(task.sha256)
        self._done.videos.append((task.path, record))


def _free(folder: Path, stem: str, taken: set[str]) -> str:
    name, number = f"{stem}.jpg", 1
    while name in taken or os.path.lexists(folder / name):
        number += 1
        name = f"{stem}_{number}.jpg"
    return name


def _record(name: str, frame: SeenFrame) -> FrameRecord:
    pose = None if frame.face is None else frame.face.pose
    sharp = face_sharpness(frame)
    return FrameRecord(
        file=name,
        index=frame.index,
        second=round(frame.second, 3),
        sharpness=round(frame.sharpness, 1),
        face_sharpness=None if sharp is None else round(sharp, 1),
        yaw=None if pose is None else round(pose.yaw, 1),
        pitch=None if pose is None else round(pose.pitch, 1),
        angle=angle(frame),
        expression=expression(frame),
    )
