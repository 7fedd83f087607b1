"""Running another program: its output line by line, all of it in a log, and no process left behind."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from twinloop.errors import MissingTool
from twinloop.store.atomic import storage_errors
from twinloop.store.noted_process import note_process
from twinloop.system import processes
from twinloop.system.pipes import read_aside

GRACE = (20.0, 10.0)
"""Seconds after the polite signal (as Ctrl-C) until the firm one, and after that until it is killed."""
_LOOK = 0.05
"""Seconds between two looks whether all of them are gone."""
TAIL = 15
_BLOCK = 1 << 14
_BREAK = re.compile(rb"[\r\n]+")
_BAR = re.compile(r"\d%\|.*\|")


@dataclass(frozen=True)
class Command:
    """What to run, in which folder, with what over this process's environment."""

    argv: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)


def run(command: Command, log: Path, heed: Callable[[str], None], note: Path) -> int:
    """Run to the end and return the exit code; every line, also of bars that draw over themselves, goes to ``heed``.

    A line that is still being written is shown as far as it is there, and again when there is more of it.

    Whatever ends this early (Ctrl-C, SIGTERM, the end of the terminal, what ``heed`` raises) also ends the program:
    asked as by Ctrl-C, then told, then killed. Only where this process is killed it goes on; ``note`` tells of it.

    Args:
        note: where the process is noted while it runs (`noted_process`).

    Raises:
        MissingTool: the program cannot be started. StorageError: the log cannot be written.
    """
    with storage_errors(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as written, processes.cleared_up_when_ended():
            process = _start(command)
            assert process.stdout is not None
            try:
                note_process(note, process.pid)
                for line in _lines(process.stdout, written):
                    heed(line)
                return process.wait()
            finally:
                stop(process)
                process.stdout.close()
                note.unlink(missing_ok=True)


def _start(command: Command) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", **command.environment}
    try:
        # a group of its own: Ctrl-C comes to this process, which ends the other in its own time
        return subprocess.Popen(
            list(command.argv), cwd=command.folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, **processes.own_group(),
        )  # fmt: skip
    except OSError as error:
        raise MissingTool(
            f"{command.argv[0]} cannot be started ({error.strerror or error}). Correct training.trainer_python and"
            " training.trainer_path."
        ) from error


def _lines(stream: IO[bytes], log: IO[bytes]) -> Iterator[str]:
    left = b""
    for block in read_aside(lambda: os.read(stream.fileno(), _BLOCK)):
        log.write(block)
        log.flush()
        *whole, left = _BREAK.split(left + block)
        yield from (line.decode("utf-8", "replace") for line in whole if line)
        if left:  # a bar ends with nothing: the break comes before the next one, which may be minutes away
            yield left.decode("utf-8", "replace")


def stop(process: processes.Stoppable) -> None:
    """End a program, if it still runs, and what it started, which may still run where the program itself has ended."""
    try:
        if process.poll() is None:
            processes.interrupt(process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE[0])
        processes.terminate(process)
        _wait_for_all(process, GRACE[1])
    finally:  # also where a second Ctrl-C cuts the waiting short
        processes.kill(process)
        process.wait()


def _wait_for_all(process: processes.Stoppable, seconds: float) -> None:
    end = time.monotonic() + seconds
    while processes.any_left(process) and time.monotonic() < end:
        time.sleep(_LOOK)


def last_lines(log: Path) -> str:
    """The end of a log without the bars that drew over themselves."""
    text = log.read_bytes()[-(1 << 16) :].decode("utf-8", "replace")
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip() and not _BAR.search(line)]
    return "\n".join(f"    {line}" for line in lines[-TAIL:])
