"""The two ways of taking pictures out of videos: in worker processes, or in this one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from twinloop.adapters.scanning.messages import packed, unpacked
from twinloop.adapters.scanning.supervisor import Supervisor
from twinloop.adapters.scanning.worker import Ask, Job
from twinloop.domain.faces import HeadPose
from twinloop.domain.video import FaceInFrame, SeenFrame, SeenVideo, VideoTask
from twinloop.errors import UnreadableImage
from twinloop.ports import FrameDesk
from twinloop.stages.vault.frames.look import FrameWork


def frame_job(work: FrameWork) -> tuple[bytes, Job]:
    """What a worker needs: what it says of itself, and how it does one video."""

    def job(data: bytes, ask: Ask) -> bytes:
        head, _ = unpacked(data)
        task = VideoTask(
            Path(head["path"]), head["sha256"], head["taken"], head["per_second"],
            None if head["chosen"] is None else tuple(head["chosen"]),
        )  # fmt: skip
        try:
            work.take(task, _Asking(ask))
        except UnreadableImage as error:
            return packed(str(error))
        return packed("")

    return json.dumps({"notes": list(work.notes)}).encode(), job


class _Asking:
    """The desk as a worker sees it: at the other end of the pipe."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def progress(self, task: VideoTask, share: float) -> None:
        self._ask(packed({"progress": share}))

    def choose(self, task: VideoTask, seen: SeenVideo) -> tuple[int, ...]:
        chosen, _ = unpacked(self._ask(packed({"seen": asdict(seen)})))
        return tuple(chosen)

    def keep(self, task: VideoTask, index: int, jpeg: bytes) -> None:
        self._ask(packed({"keep": index}, [jpeg]))


def _answer(desk: FrameDesk, task: VideoTask, question: bytes) -> bytes:
    head, blobs = unpacked(question)
    if "seen" in head:
        return packed(list(desk.choose(task, _seen(head["seen"]))))
    if "keep" in head:
        desk.keep(task, int(head["keep"]), blobs[0])
    else:
        desk.progress(task, float(head["progress"]))
    return packed(None)


def _seen(data: Mapping[str, Any]) -> SeenVideo:
    return SeenVideo(
        tuple(SeenFrame(**{**frame, "face": _face(frame["face"])}) for frame in data["frames"]),
        data["without_face"],
        data["seconds"],
        data["stated"],
    )


def _face(data: Mapping[str, Any] | None) -> FaceInFrame | None:
    if data is None:
        return None
    pose = None if data["pose"] is None else HeadPose(**data["pose"])
    return FaceInFrame(data["quality"], pose, data["measures"])


class HereTaker:
    """Takes them in this process: no protection, for looking at errors."""

    def __init__(self, work: FrameWork) -> None:
        self._work = work
        self.notes = work.notes

    def take(self, tasks: Iterable[VideoTask], count: int, desk: FrameDesk) -> Iterator[tuple[VideoTask, str]]:
        for task in tasks:
            try:
                self._work.take(task, desk)
            except UnreadableImage as error:
                yield task, str(error)
            else:
                yield task, ""


class WorkerTaker:
    """Takes them in the worker processes of a supervisor that was entered; its entry returns what `frame_job` does."""

    def __init__(self, supervisor: Supervisor[VideoTask]) -> None:
        self._supervisor = supervisor
        self.notes: tuple[str, ...] = tuple(json.loads(supervisor.greeting)["notes"])

    def take(self, tasks: Iterable[VideoTask], count: int, desk: FrameDesk) -> Iterator[tuple[VideoTask, str]]:
        given = ((task, packed({**asdict(task), "path": str(task.path)})) for task in tasks)
        for outcome in self._supervisor.run(given, lambda task, asked: _answer(desk, task, asked), count):
            yield outcome.task, outcome.failure or str(unpacked(outcome.result)[0])
