"""What decodes videos, and what takes pictures out of many of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Protocol

from twinloop.domain.faces import ImageArray
from twinloop.domain.video import SeenVideo, VideoTask


class Video(Protocol):
    """An open video, read from its beginning to its end. A context: leaving it closes the file."""

    @property
    def seconds(self) -> float:
        """How long it says it is; 0 = it does not say."""
        ...

    def __enter__(self) -> Video: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def advance(self) -> float | None:
        """Go to the next frame: its place in seconds; None = there is no further one that can be decoded."""
        ...

    def picture(self) -> ImageArray | None:
        """The frame where the video stands, uint8 HxWx3 RGB and upright; None = it cannot be decoded."""
        ...


class FrameDesk(Protocol):
    """Where those who read videos ask what to do, and hand in what they have."""

    def progress(self, task: VideoTask, share: float) -> None:
        """So much of the video is done, 0..1."""
        ...

    def choose(self, task: VideoTask, seen: SeenVideo) -> tuple[int, ...]:
        """Numbers of the frames to hand in."""
        ...

    def keep(self, task: VideoTask, index: int, jpeg: bytes) -> None:
        """Write one of them."""
        ...


class FrameTaker(Protocol):
    """Takes pictures out of many videos, here or in other processes.

    ``notes``: human lines about models that are missing or broken.
    """

    notes: tuple[str, ...]

    def take(self, tasks: Iterable[VideoTask], count: int, desk: FrameDesk) -> Iterator[tuple[VideoTask, str]]:
        """Every video once, in any order, each with why it could not be read; "" where it could.

        ``count``: how many there are.
        """
        ...
