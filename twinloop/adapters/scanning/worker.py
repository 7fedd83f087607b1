"""The process that does tasks for a supervisor: ``python -m twinloop.adapters.scanning.worker PIPE PARENT`` (started
by `supervisor.py` only).
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import psutil

from twinloop.adapters.scanning.inherited import PipeEnd, opened
from twinloop.adapters.scanning.messages import Kind, receive, send
from twinloop.errors import TwinLoopError

Ask = Callable[[bytes], bytes]
Job = Callable[[bytes, Ask], bytes]
"""Does one task; may ask the supervisor a question meanwhile."""
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9
"""As Linux numbers them."""


def main(pipe_name: int, parent: int) -> None:
    """Serve until the supervisor is gone."""
    pipe = opened(pipe_name)
    _die_with(parent)
    _be_quiet()
    try:
        order = json.loads(receive(pipe).body)
        made = _make(pipe, order["entry"], order["arguments"])
        if made is not None:
            greeting, job = made
            _limit_memory(order["memory"])
            send(pipe, Kind.READY, greeting)
            while True:
                _do(pipe, job, receive(pipe).body, order["memory"])
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _make(pipe: PipeEnd, entry: str, arguments: dict[str, Any]) -> tuple[bytes, Job] | None:
    module, _, name = entry.partition(":")
    try:
        made: tuple[bytes, Job] = getattr(importlib.import_module(module), name)(**arguments)
    except Exception as error:  # noqa: BLE001 - the border of the process: told to the supervisor, which raises it there
        _refuse(pipe, error)
        return None
    return made


def _refuse(pipe: PipeEnd, error: Exception) -> None:
    send(pipe, Kind.REFUSED, json.dumps({"error": type(error).__name__, "message": str(error)}).encode())


def _do(pipe: PipeEnd, job: Job, task: bytes, memory: int) -> None:
    def ask(question: bytes) -> bytes:
        send(pipe, Kind.ASK, question)
        return receive(pipe).body

    try:
        result = job(task, ask)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except MemoryError:
        send(pipe, Kind.SPENT, f"needs more than {memory} MB of memory".encode())
        raise EOFError from None  # what is left of this process is in pieces: a new one takes over
    except TwinLoopError as error:
        _refuse(pipe, error)  # not the task's fault: a model that fails on every picture, say
    except Exception as error:  # noqa: BLE001 - the border of the process: one bad file must not end it
        send(pipe, Kind.FAILED, f"the program failed on it ({type(error).__name__}: {error})".encode())
    else:
        send(pipe, Kind.DONE, result)


def _die_with(parent: int) -> None:
    """Be killed when the supervisor is, also in the middle of a decoder that hangs (Linux; elsewhere the closed pipe
    ends idle workers).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            raise SystemExit(0)


def _be_quiet() -> None:
    """Decoders write their complaints to the terminal; they are told as reasons instead."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _limit_memory(megabytes: int) -> None:
    """Let a task use so much beyond what the process has now, models included (Linux; elsewhere nothing holds it)."""
    with contextlib.suppress(psutil.Error, OSError, ValueError):
        process = psutil.Process()
        if hasattr(process, "rlimit"):
            process.rlimit(psutil.RLIMIT_CORE, (0, 0))
            limit = process.memory_info().vms + (megabytes << 20)
            process.rlimit(psutil.RLIMIT_AS, (limit, process.rlimit(psutil.RLIMIT_AS)[1]))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
