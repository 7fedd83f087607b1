"""A worker process as its supervisor sees it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from multiprocessing import Pipe
from pathlib import Path
from typing import Generic, TypeVar

from twinloop.adapters.scanning import messages
from twinloop.adapters.scanning.inherited import popen_options
from twinloop.adapters.scanning.messages import Kind
from twinloop.system.processes import own_group

T = TypeVar("T")
START_SECONDS = 120.0
"""So long a worker may take to load its libraries and models."""
END_SECONDS = 5.0
"""So long a killed worker is waited for: one that hangs in the kernel (a network disk that is gone) ends when that lets
it."""


class WorkerProcess(Generic[T]):
    """One process and the pipe to it.

    Attributes:
        ready: it has loaded what it needs. task, data: what it was given and has not finished. asked: it had a question
            about that. second: it is the task's second try.
        deadline: by the monotonic clock, of its start or of the task.
    """

    def __init__(self, order: bytes) -> None:
        self.pipe, theirs = Pipe()
        with theirs:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "twinloop.adapters.scanning.worker",
                    str(theirs.fileno()),
                    str(os.getpid()),
                ],
                env=_environment(),
                **popen_options(theirs),
                **own_group(),  # Ctrl-C is for the supervisor alone
            )
        messages.send(self.pipe, Kind.TASK, order)
        self.ready = self.asked = self.second = False
        self.task: T | None = None
        self.data = b""
        self.deadline = time.monotonic() + START_SECONDS

    @property
    def idle(self) -> bool:
        return self.ready and self.task is None

    def give(self, task: T, data: bytes, timeout: float) -> None:
        """Hand a task over; only a task that was read counts as begun.

        Raises:
            OSError: the worker is gone.
        """
        self.task, self.data, self.asked = task, data, False
        self.deadline = time.monotonic() + timeout
        messages.send(self.pipe, Kind.TASK, data)

    def answer(self, body: bytes, timeout: float) -> None:
        """Answer its question. The time that it waited for the answer is not its own."""
        self.asked, self.deadline = True, time.monotonic() + timeout
        messages.send(self.pipe, Kind.ANSWER, body)

    def kill(self) -> None:
        """Have it end."""
        self.pipe.close()
        if self.process.poll() is None:
            self.process.kill()

    def end(self, seconds: float | None = None) -> None:
        """Kill it and see it off, if that takes no longer than this (`END_SECONDS`)."""
        self.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(END_SECONDS if seconds is None else seconds)


def _environment() -> Mapping[str, str]:
    """One thread in every library: the cores are shared out by process."""
    ones = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {
        **os.environ,
        **ones,
        "OMP_WAIT_POLICY": "passive",
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
    }
