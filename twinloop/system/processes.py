"""Processes: whether one lives, and how one is stopped together with what it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

ENDED_BY_INTERRUPT = frozenset({-signal.SIGINT, 0xC000013A})
"""Exit codes of processes that Ctrl-C ended where nothing in them caught it. The second is Windows':
STATUS_CONTROL_C_EXIT.
"""
_KILL: int = getattr(signal, "SIGKILL", signal.SIGTERM)


def is_alive(pid: int) -> bool:
    """Whether a process of this number runs, whoever owns it."""
    import psutil  # not at the top: most commands never ask, and it would make their start slower

    # os.kill(pid, 0) would do elsewhere; on Windows it ends the process
    try:
        return bool(psutil.pid_exists(pid))
    except OverflowError:
        return False


def heed_interruptions() -> None:
    """Be stopped by `interrupt` as by Ctrl-C, also where whoever started this process had that ignored."""
    for name in ("SIGINT", "SIGBREAK"):  # Windows sends the latter: it can send Ctrl-C to a whole console only
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)


def own_group() -> dict[str, Any]:
    """Arguments of `subprocess.Popen`: Ctrl-C on this terminal does not reach the process, and it can be stopped
    together with what it started.
    """
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def interrupt(process: subprocess.Popen[Any]) -> None:
    """Ask a process of `own_group`, and what it started, to stop, as Ctrl-C does."""
    if sys.platform == "win32":
        # it has ended, or there is no console: Python then ends it, and calls its own error a SystemError
        with contextlib.suppress(OSError, SystemError):
            process.send_signal(signal.CTRL_BREAK_EVENT)
    else:
        _signal(process, signal.SIGINT)


def terminate(process: subprocess.Popen[Any]) -> None:
    """Tell a process of `own_group`, and what it started, to end. Windows has no word for that: they are killed."""
    _signal(process, signal.SIGTERM)


def kill(process: subprocess.Popen[Any]) -> None:
    """End a process of `own_group`, and what it started, whatever they are doing."""
    _signal(process, _KILL)


def any_left(process: subprocess.Popen[Any]) -> bool:
    """Whether a process of `own_group`, or what it started, still runs; on Windows nothing is found any more of what
    outlives the process itself.
    """
    return process.poll() is None or _signal(process, 0)


def _signal(process: subprocess.Popen[Any], number: int) -> bool:
    """Send a signal to a process and to what it started (0: none; on Windows any other kills); whether anything of it
    is there.
    """
    if sys.platform == "win32":
        family = _family(process)
        if number:
            _kill_all(family)
        return bool(family)
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # macOS says the second of those that have ended
        return False
    return True


def _family(process: subprocess.Popen[Any]) -> list[Any]:
    """A process that runs and all below it, as psutil has them."""
    import psutil

    if process.poll() is not None:
        return []
    try:
        first = psutil.Process(process.pid)
        return [*first.children(recursive=True), first]
    except psutil.NoSuchProcess:
        return []


def _kill_all(family: Sequence[Any]) -> None:
    import psutil

    for member in family:
        with contextlib.suppress(psutil.Error):  # it ended by itself
            member.kill()
