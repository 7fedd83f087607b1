"""How far a video was looked through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twinloop.domain.faces import ImageArray
from twinloop.domain.video import SeenVideo, VideoTask
from twinloop.stages.vault.frames.look import FrameWork


class Film:
    """A video of grey pictures, ``every`` so many seconds; it says that it has ``stated`` of them."""

    def __init__(self, every: float, pictures: int, stated: int) -> None:
        self._every, self._left, self._index = every, pictures, -1
        self.seconds = every * stated

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *_: object) -> None: ...

    def advance(self) -> float | None:
        self._index += 1
        return self._index * self._every if self._index < self._left else None

    def picture(self) -> ImageArray | None:
        return np.full((32, 32, 3), 40 + self._index, np.uint8)


class Desk:
    seen: SeenVideo

    def choose(self, task: VideoTask, seen: SeenVideo) -> tuple[int, ...]:
        self.seen = seen
        return ()

    def keep(self, task: VideoTask, index: int, jpeg: bytes) -> None: ...

    def progress(self, task: VideoTask, share: float) -> None: ...


@pytest.mark.parametrize(("every", "pictures", "stated"), [(2.0, 5, 5), (3.0, 2, 2), (2.0, 3, 8), (0.1, 40, 40)])
def test_a_video_was_read_to_the_end_of_its_last_picture(
    tmp_path: Path, every: float, pictures: int, stated: int
) -> None:
    path, desk = tmp_path / "a.avi", Desk()
    path.write_bytes(b"RIFF\0\0\0\0AVI ")
    FrameWork(None, 64, lambda _: Film(every, pictures, stated)).take(VideoTask(path, "0" * 64, 0.0, 2.0), desk)
    assert desk.seen.seconds == pytest.approx(every * pictures, abs=0.3 if every < 1 else 1e-9)
    assert desk.seen.stated == pytest.approx(every * stated)
