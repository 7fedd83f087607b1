"""A few worker processes under supervision: whatever happens to one of them costs one task."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from twinloop import errors
from twinloop.adapters.scanning import messages
from twinloop.adapters.scanning.messages import Kind
from twinloop.errors import StateError, TwinLoopError

T = TypeVar("T")
Answer = Callable[[T, bytes], bytes]
"""Answers what a worker asks while it does a task."""
START_SECONDS = 120.0
"""So long a worker may take to load its libraries and models."""


@dataclass(frozen=True)
class Limits:
    """Of one task in one worker. timeout: seconds. memory: megabytes beyond what an idle worker has."""

    timeout: float = 30.0
    memory: int = 2048


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of a task: its ``result``, or the ``failure`` in words (then the result is empty)."""

    task: T
    result: bytes = b""
    failure: str = ""


class _Worker(Generic[T]):
    """One process and the pipe to it."""

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
                pass_fds=[theirs.fileno()],
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for the supervisor alone
            )
        messages.send(self.pipe, Kind.TASK, order)
        self.ready = False
        self.task: T | None = None
        self.deadline = time.monotonic() + START_SECONDS

    @property
    def idle(self) -> bool:
        return self.ready and self.task is None

    def give(self, task: T, data: bytes, timeout: float) -> None:
        self.task, self.deadline = task, time.monotonic() + timeout
        messages.send(self.pipe, Kind.TASK, data)

    def end(self) -> int:
        """Kill it, if it still lives, and return its exit code."""
        self.pipe.close()
        if self.process.poll() is None:
            self.process.kill()
        return self.process.wait()


def _environment() -> Mapping[str, str]:
    """One thread in every library: the cores are shared out by process."""
    ones = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {
        **os.environ,
        **ones,
        "OMP_WAIT_POLICY": "passive",
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
    }


class Supervisor(Generic[T]):
    """Runs tasks in ``count`` workers. Use it with ``with``: on leaving, every worker is gone.

    Args:
        entry: ``module:function`` that a worker calls to become ready; the function returns a greeting and the job.
        arguments: for that function; plain JSON.

    Raises:
        TwinLoopError: the entry raised one (the same class). StateError: a worker cannot start.
    """

    def __init__(self, entry: str, arguments: Mapping[str, Any], count: int, limits: Limits) -> None:
        self._order = json.dumps({"entry": entry, "arguments": dict(arguments), "memory": limits.memory}).encode()
        self._count, self._limits = count, limits
        self._workers: list[_Worker[T]] = []
        self.greeting = b""

    def __enter__(self) -> Supervisor[T]:
        """Start the first worker; the others come when there is work for them."""
        try:
            self._start()
            while not self._workers[0].ready:
                self._listen(self._workers[0], lambda _, __: b"")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every worker, whatever it is doing."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def run(
        self, tasks: Iterable[tuple[T, bytes]], answer: Answer[T], expected: int | None = None
    ) -> Iterator[Outcome[T]]:
        """Do the tasks; outcomes come as they are ready, in any order. At most one task per worker is taken from ``tasks`` ahead.

        Args:
            tasks: what names the task in its outcome, and the bytes that the worker gets.
            answer: to what workers ask. expected: number of tasks, so that few tasks start few workers.
        """
        most = self._count if expected is None else min(self._count, expected)
        source = iter(tasks)
        waiting = next(source, None)
        while waiting is not None or any(worker.task is not None for worker in self._workers):
            while waiting is not None and (worker := self._free(most)) is not None:
                lost = self._give(worker, *waiting)
                if lost is not None:
                    yield lost
                waiting = next(source, None)
            yield from self._round(answer)

    def _free(self, most: int) -> _Worker[T] | None:
        """A worker without a task; where all are busy, others are started as long as there are too few."""
        idle = next((worker for worker in self._workers if worker.idle), None)
        while idle is None and len(self._workers) < most:
            self._start()
        return idle

    def _start(self) -> None:
        self._workers.append(_Worker(self._order))

    def _give(self, worker: _Worker[T], task: T, data: bytes) -> Outcome[T] | None:
        try:
            worker.give(task, data, self._limits.timeout)
        except OSError:  # it died while it was idle
            return self._lost(worker)
        return None

    def _round(self, answer: Answer[T]) -> Iterator[Outcome[T]]:
        """Wait for a sign of life or for the next deadline, and deal with what came."""
        watched = [worker for worker in self._workers if not worker.idle]
        patience = max(0.0, min((worker.deadline for worker in watched), default=0.0) - time.monotonic())
        speaking = set(map(id, wait([worker.pipe for worker in watched], patience))) if watched else set()
        now = time.monotonic()
        for worker in watched:
            if id(worker.pipe) in speaking:
                outcome = self._listen(worker, answer)
            elif now >= worker.deadline:
                outcome = self._overdue(worker)
            else:
                continue
            if outcome is not None:
                yield outcome

    def _listen(self, worker: _Worker[T], answer: Answer[T]) -> Outcome[T] | None:
        """Take one message of a worker."""
        try:
            kind, body = messages.receive(worker.pipe)
            if kind is Kind.ASK and worker.task is not None:
                messages.send(worker.pipe, Kind.ANSWER, answer(worker.task, body))
                return None
        except (EOFError, OSError, ValueError):
            return self._lost(worker)
        if kind is Kind.READY:
            worker.ready, self.greeting = True, body
            return None
        if kind is Kind.REFUSED:
            raise _refusal(json.loads(body))
        task, worker.task = worker.task, None
        if kind is Kind.SPENT or task is None:
            self._workers.remove(worker)
            worker.end()
        if task is None:
            return None
        return Outcome(task, body) if kind is Kind.DONE else Outcome(task, failure=body.decode(errors="replace"))

    def _lost(self, worker: _Worker[T]) -> Outcome[T] | None:
        """A worker that is gone, or must go."""
        self._workers.remove(worker)
        code = worker.process.poll()
        if code is None:  # its end of the pipe is closed, and it is about to follow
            try:
                code = worker.process.wait(1.0)
            except subprocess.TimeoutExpired:
                code = None
        worker.end()
        if not worker.ready:
            raise StateError(f"A worker process cannot start (exit code {code}). Run with --workers 0 to see why.")
        return None if worker.task is None else Outcome(worker.task, failure=_cause(code))

    def _overdue(self, worker: _Worker[T]) -> Outcome[T] | None:
        self._workers.remove(worker)
        worker.end()
        if worker.task is None:
            raise StateError(
                f"A worker process did not start within {START_SECONDS:g} seconds. Run with --workers 0 to see why."
            )
        return Outcome(worker.task, failure=f"took longer than {self._limits.timeout:g} s")


def _cause(code: int | None) -> str:
    if code is None or code >= 0:
        return f"the decoder ended the process (exit code {code})"
    number = -code
    known = {member.value: member.name for member in signal.Signals}
    if number == signal.SIGKILL:
        return "the system killed the process that decoded it (out of memory?)"
    return f"the decoder crashed (signal {number}, {known.get(number, 'unknown')})"


def _refusal(told: Mapping[str, str]) -> TwinLoopError:
    """The error that a worker met at its start, as the class that it was there."""
    kind = getattr(errors, str(told["error"]), None)
    simple = (errors.MissingModel, errors.ModelFileError, errors.UnsafeModelFile, errors.InputError)
    if kind in simple:
        made: TwinLoopError = kind(told["message"])
        return made
    return StateError(
        f"A worker process cannot start: {told['error']}: {told['message']}. Run with --workers 0 --debug to see where."
    )
