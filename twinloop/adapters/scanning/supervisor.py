"""A few worker processes under supervision: whatever happens to one of them costs one task."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Generic, TypeVar

from twinloop import errors
from twinloop.adapters.scanning import messages
from twinloop.adapters.scanning.messages import Kind
from twinloop.adapters.scanning.process import END_SECONDS, START_SECONDS, WorkerProcess
from twinloop.errors import StateError, TwinLoopError

T = TypeVar("T")
Answer = Callable[[T, bytes], bytes]
"""Answers what a worker asks while it does a task."""
IDLE_DEATHS = 5
"""So many workers in a row may end before they begin with what they were given."""

_EXCEPTIONS = 0xC0000000
"""Exit codes from here on are those of programs that crashed under Windows (NTSTATUS)."""


@dataclass(frozen=True)
class Limits:
    """Of one task in one worker. timeout: seconds, which begin anew with the answer to a question. memory: megabytes
    beyond what an idle worker has.
    """

    timeout: float = 30.0
    memory: int = 2048


@dataclass(frozen=True)
class TaskResult(Generic[T]):
    """What became of a task: its ``result``, or the ``failure`` in words (then the result is empty).

    Attributes:
        lost: the process failed, in both tries: a signal or the deadline ended it, which may say nothing of the task.
    """

    task: T
    result: bytes = b""
    failure: str = ""
    lost: bool = False


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
        self._workers: list[WorkerProcess[T]] = []
        self._returned: list[tuple[T, bytes, bool]] = []
        self._again: list[tuple[T, bytes, bool]] = []
        self._idle_deaths = 0
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
            worker.kill()
        patience = time.monotonic() + END_SECONDS
        for worker in self._workers:
            worker.end(max(0.0, patience - time.monotonic()))
        self._workers.clear()

    def run(
        self, tasks: Iterable[tuple[T, bytes]], answer: Answer[T], expected: int | None = None
    ) -> Iterator[TaskResult[T]]:
        """Do the tasks; outcomes come as they are ready, in any order.

        At most one task per worker is taken from ``tasks`` ahead. A task whose process was killed, crashed or did not
        end in time gets one more try when all others have had theirs: memory may have been short, the computer asleep.

        Args:
            tasks: what names the task in its outcome, and the bytes that the worker gets.
            answer: to what workers ask. expected: number of tasks, so that few tasks start few workers.
        """
        most = self._count if expected is None else min(self._count, expected)
        source = iter(tasks)
        waiting = self._next(source)
        while waiting is not None or any(worker.task is not None for worker in self._workers):
            while waiting is not None and (worker := self._free(most)) is not None:
                if self._give(worker, *waiting):
                    waiting = self._next(source)
            yield from self._round(answer)
            waiting = waiting or self._next(source)

    def _next(self, source: Iterator[tuple[T, bytes]]) -> tuple[T, bytes, bool] | None:
        """The next task, and whether it is its second try: one that a worker ended under before it began with it, else
        a new one, else one whose process failed.
        """
        if self._returned:
            return self._returned.pop()
        new = next(source, None)
        if new is not None:
            return (*new, False)
        return self._again.pop(0) if self._again else None

    def _free(self, most: int) -> WorkerProcess[T] | None:
        """A worker without a task; where all are busy, others are started as long as there are too few."""
        idle = next((worker for worker in self._workers if worker.idle), None)
        while idle is None and len(self._workers) < most:
            self._start()
        return idle

    def _start(self) -> None:
        self._workers.append(WorkerProcess(self._order))

    def _give(self, worker: WorkerProcess[T], task: T, data: bytes, second: bool) -> bool:
        """Whether the task could be handed over. A worker that died while it was idle says nothing about the task."""
        worker.second = second
        try:
            worker.give(task, data, self._limits.timeout)
        except OSError:
            self._died_idle(worker)
            return False
        return True

    def _died_idle(self, worker: WorkerProcess[T]) -> None:
        self._workers.remove(worker)
        code = self._seen_off(worker)
        self._idle_deaths += 1
        if self._idle_deaths >= IDLE_DEATHS:
            raise StateError(
                f"{IDLE_DEATHS} worker processes in a row ended before they did anything (exit code {code}). If memory"
                " is short, give a smaller --workers; --workers 0 works without them."
            )

    def _round(self, answer: Answer[T]) -> Iterator[TaskResult[T]]:
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

    def _listen(self, worker: WorkerProcess[T], answer: Answer[T]) -> TaskResult[T] | None:
        """Take one message of a worker."""
        try:
            kind, body = messages.receive(worker.pipe)
            if kind is Kind.ASK and worker.task is not None:
                worker.answer(answer(worker.task, body), self._limits.timeout)
                return None
        except ConnectionResetError:  # it died with something unread: the task, unless it had asked about that
            if worker.task is None or worker.asked:
                return self._lost(worker)
            self._returned.append((worker.task, worker.data, worker.second))
            self._died_idle(worker)
            return None
        except (EOFError, OSError, ValueError):
            return self._lost(worker)
        if kind is Kind.READY:
            worker.ready, self.greeting = True, body
            return None
        if kind is Kind.REFUSED:
            raise _refusal(json.loads(body))
        task, worker.task = worker.task, None
        self._idle_deaths = 0
        if kind is Kind.SPENT or task is None:
            self._workers.remove(worker)
            worker.end()
        if task is None:
            return None
        return TaskResult(task, body) if kind is Kind.DONE else TaskResult(task, failure=body.decode(errors="replace"))

    def _lost(self, worker: WorkerProcess[T]) -> TaskResult[T] | None:
        """A worker that is gone, or must go."""
        self._workers.remove(worker)
        code = self._seen_off(worker)
        if not worker.ready:
            raise StateError(f"A worker process cannot start (exit code {code}). Run with --workers 0 to see why.")
        return self._failed(worker, _cause(code))

    def _failed(self, worker: WorkerProcess[T], failure: str) -> TaskResult[T] | None:
        """What becomes of the task of a process that failed: nothing yet, if it was the first try."""
        if worker.task is None:
            return None
        if worker.second:
            return TaskResult(worker.task, failure=failure, lost=True)
        self._again.append((worker.task, worker.data, True))
        return None

    @staticmethod
    def _seen_off(worker: WorkerProcess[T]) -> int | None:
        """The exit code of a worker whose end of the pipe is closed, so that it is about to follow; None where it does
        not by itself.
        """
        code = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = worker.process.wait(1.0)
        worker.end()
        return code

    def _overdue(self, worker: WorkerProcess[T]) -> TaskResult[T] | None:
        self._workers.remove(worker)
        worker.end()
        if worker.task is None:
            raise StateError(
                f"A worker process did not start within {START_SECONDS:g} seconds. Run with --workers 0 to see why."
            )
        return self._failed(worker, f"took longer than {self._limits.timeout:g} s")


def _cause(code: int | None) -> str:
    if code is not None and code >= _EXCEPTIONS:
        return f"the decoder crashed ({code:#x})"
    if code is None or code >= 0:
        return f"the decoder ended the process (exit code {code})"
    name = {member.value: member.name for member in signal.Signals}.get(-code, "unknown")
    if name == "SIGKILL":
        return "the system killed the process that decoded it (out of memory?)"
    return f"the decoder crashed (signal {-code}, {name})"


def _refusal(told: Mapping[str, str]) -> TwinLoopError:
    """The error that a worker met, as the class that it was there."""
    return errors.from_name(told["error"], told["message"]) or StateError(
        f"A worker process cannot start: {told['error']}: {told['message']}. Run with --workers 0 --debug to see where."
    )
