"""Commands started from the page, each in a process of its own; stopped as by Ctrl-C, they go on when started again."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from twinloop.errors import INTERRUPTED, StateError, WaitingForReview
from twinloop.system import processes

KEPT_LINES = 500
LOST = 5.0
"""Seconds after which an interrupt counts as lost if the command still gets on: one that comes while Python is inside
of a callback is."""
State = Literal["running", "stopping", "stopped", "waiting", "done", "failed"]
_ENDS: dict[int, State] = {
    0: "done",
    WaitingForReview.exit_code: "waiting",
    INTERRUPTED: "stopped",
    **dict.fromkeys(processes.ENDED_BY_INTERRUPT, "stopped"),
}


@dataclass
class Job:
    """One command and what it said.

    Attributes:
        key: what it works on (a run folder, the vault); one command at a time for each.
        progress: label, done, total of the step it is at; None between steps. asked: when it was asked to stop, by the
            monotonic clock.
    """

    number: int
    key: str
    argv: list[str]
    process: subprocess.Popen[str]
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    progress: dict[str, Any] | None = None
    stopping: bool = False
    ended: bool = False
    asked: float = 0.0

    def interrupt(self) -> None:
        """Ask it to stop, as Ctrl-C does."""
        self.stopping, self.asked = True, time.monotonic()
        processes.interrupt(self.process)

    def gets_on(self) -> None:
        """It said how far it is; long after it was asked to stop, it is asked again."""
        if self.stopping and time.monotonic() - self.asked > LOST:
            self.interrupt()

    @property
    def state(self) -> State:
        code = self.process.poll()
        if code is None or not self.ended:
            return "stopping" if self.stopping else "running"
        # asked to stop while Python itself was starting, it ends with a code of its own
        return _ENDS.get(code, "stopped" if self.stopping else "failed")

    @property
    def works(self) -> bool:
        return self.state in ("running", "stopping")

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.number,
            "key": self.key,
            "command": ["twinloop", *self.argv],
            "state": self.state,
            "progress": self.progress,
            "lines": list(self.lines),
            "exit_code": self.process.poll(),
        }


class Jobs:
    """The commands of one server. They end with it: what they did is kept, as after Ctrl-C."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._jobs: list[Job] = []
        self._started = 0
        self._lock = threading.Lock()

    def start(self, key: str, argv: Sequence[str]) -> Job:
        """Start ``twinloop ARGV``.

        Raises:
            StateError: a command already works on ``key``.
        """
        with self._lock:
            busy = self.of(key)
            if busy is not None and busy.works:
                raise StateError(
                    f"{key} is being worked on: twinloop {' '.join(busy.argv)}. Wait for it, or pause it first."
                )
            process = subprocess.Popen(
                [sys.executable, "-m", "twinloop", *argv],
                cwd=self._home,
                env={**os.environ, "TWINLOOP_PROGRESS": "json", "PYTHONIOENCODING": "utf-8"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                **processes.own_group(),
            )
            self._started += 1
            job = Job(self._started, key, list(argv), process)
            # of what ended the latest on each key is shown, so that a server that runs for weeks does not fill up
            self._jobs = [*(one for one in self._jobs if one.key != key), job]
        threading.Thread(target=_listen, args=(job,), daemon=True).start()
        return job

    def of(self, key: str) -> Job | None:
        """The latest command on ``key``."""
        return next((job for job in reversed(self._jobs) if job.key == key), None)

    def all(self) -> list[Job]:
        return list(self._jobs)

    def pause(self, key: str) -> Job:
        """Ask the command on ``key`` to stop, as Ctrl-C does.

        Raises:
            StateError: none runs there.
        """
        job = self.of(key)
        if job is None or not job.works:
            raise StateError(f"Nothing runs on {key}.")
        job.interrupt()
        return job

    def close(self, patience: float = 20.0) -> None:
        """Stop everything; what does not stop in time is killed, which loses one unit of work at most."""
        running = [job for job in self._jobs if job.process.poll() is None]
        for job in running:
            job.interrupt()
        for job in running:
            try:
                job.process.wait(patience)
            except subprocess.TimeoutExpired:
                job.process.kill()
                job.process.wait()


def _listen(job: Job) -> None:
    """Take in what the command says, until it ends."""
    assert job.process.stdout is not None
    for text in job.process.stdout:
        said = _parsed(text)
        if said is not None and "progress" in said:
            job.progress = said["progress"]
            job.gets_on()
        elif said is not None:
            job.progress = None
            job.lines.extend(str(said.get("text", "")).splitlines() or [""])
        else:
            job.lines.append(text.rstrip("\n"))
    job.process.wait()
    job.progress = None
    job.ended = True


def _parsed(text: str) -> dict[str, Any] | None:
    if not text.startswith('{"'):
        return None
    with contextlib.suppress(ValueError):
        data = json.loads(text)
        return data if isinstance(data, dict) and ("progress" in data or "text" in data) else None
    return None
