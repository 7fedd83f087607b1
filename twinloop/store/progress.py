"""How far a command is that works in a run or a vault, noted beside the folder's lock for the page to show.

The note is no record: nothing goes on from it, and nothing fails where it cannot be written. It counts only as long as
the process that wrote it holds the lock, so one that a killed process left says nothing.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from twinloop.errors import InputError, StateError
from twinloop.ports import Reporter
from twinloop.store.atomic import json_bytes, read_as, temporary_beside
from twinloop.system.files import BINARY, NO_LINK, rename_at_once

NAME = ".progress.json"
EVERY = 1.0
"""Seconds between two notes of one step."""


@dataclass(frozen=True)
class Progress:
    """``done`` of ``total`` units of a step, as `ports.Reporter` is told it."""

    label: str
    done: float
    total: int

    @classmethod
    def from_json(cls, data: dict[str, object]) -> Progress:
        label, done, total = data["label"], data["done"], data["total"]
        if not (isinstance(label, str) and isinstance(done, int | float) and isinstance(total, int)):
            raise TypeError("no progress")
        if not math.isfinite(done):
            raise ValueError("done is no number")
        return cls(label, done, total)


class NotedProgress:
    """A `Reporter` that notes progress in a folder, and passes everything on.

    Args:
        folder: held by this process (`store.lock`), in a block of `progress_cleared`.
    """

    def __init__(self, folder: Path, reporter: Reporter, now: Callable[[], float] = time.monotonic) -> None:
        self._path, self._reporter, self._now = folder / NAME, reporter, now
        self._step, self._noted = "", -EVERY

    def line(self, text: str) -> None:
        if self._step:  # what was under way is done
            self._step = ""
            _forget(self._path)
        self._reporter.line(text)

    def warn(self, text: str) -> None:
        self._reporter.warn(text)

    def progress(self, label: str, done: float, total: int) -> None:
        now, step = self._now(), label.split(" (")[0]  # a loss in brackets changes with every step
        if step != self._step or done >= total or now - self._noted >= EVERY:
            self._step, self._noted = step, now
            _note(self._path, Progress(label, round(done, 2), total))
        self._reporter.progress(label, done, total)


@contextmanager
def progress_cleared(folder: Path) -> Iterator[None]:
    """Within the folder's lock: what a killed process noted goes first, and what this one notes at the end."""
    _forget(folder / NAME)
    try:
        yield
    finally:
        _forget(folder / NAME)


def progress_in(folder: Path, pid: str) -> Progress | None:
    """What the process ``pid``, which holds the folder's lock, noted last; None = nothing, or it cannot be read now."""
    with suppress(InputError, StateError):
        pid_noted, progress = read_as(folder / NAME, lambda data: (str(data["pid"]), Progress.from_json(data)))
        return progress if pid_noted == pid else None
    return None


def _note(path: Path, progress: Progress) -> None:
    """Whole or not at all, but neither synced nor waited for: where Windows refuses because somebody reads it, or the
    disk is full, the next one may be written.
    """
    temporary = temporary_beside(path)
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | NO_LINK | BINARY, 0o600)
        with open(handle, "wb") as file:
            file.write(json_bytes({"pid": os.getpid(), **asdict(progress)}))
        rename_at_once(temporary, path)
    except BaseException as error:
        _forget(temporary)
        if not isinstance(error, OSError | ValueError):
            raise


def _forget(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
