"""Processes: whether one lives, and how one is stopped together with what it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

from twinloop.system import interruption

ENDED_BY_INTERRUPT = frozenset({-signal.SIGINT, 0xC000013A})
"""Exit codes of processes that Ctrl-C ended where nothing in them caught it. The second is Windows':
STATUS_CONTROL_C_EXIT.
"""
_KILL: int = getattr(signal, "SIGKILL", signal.SIGTERM)
_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What ends a process at once where nothing in it says otherwise: a service manager's word, and a terminal's end."""
_CLOCKS_DIFFER = 2.0
"""Seconds by which the start of one process may be told differently: systems count it from their own start, and that
moves with the clock.
"""
_LOOK = 0.05
"""Seconds between two looks whether a process has ended."""


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
            signal.signal(getattr(signal, name), interruption.note)


class _Ended(BaseException):
    """A signal of `_ENDING` came."""

    def __init__(self, number: int) -> None:
        self.number = number


@contextmanager
def cleared_up_when_ended() -> Iterator[None]:
    """Let SIGTERM and SIGHUP leave the block as an exception does, so that what it started can be stopped; then the
    process ends by that signal, as it would have at once.

    Nothing changes in other threads than the main one, which alone may say so, and for a signal that is ignored (as
    under nohup) or that somebody else handles.
    """

    def leave(number: int, _: FrameType | None) -> None:
        raise _Ended(number)

    here = threading.current_thread() is threading.main_thread()
    taken = [number for number in _ENDING if here and signal.getsignal(number) is signal.SIG_DFL]
    try:
        for number in taken:
            signal.signal(number, leave)
        yield
    except _Ended as ended:
        signal.signal(ended.number, signal.SIG_DFL)
        signal.raise_signal(ended.number)
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


class Stoppable(Protocol):
    """What is stopped here: a `subprocess.Popen`, or a `Found`."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...


class Found:
    """A process that another one started, with as much of `subprocess.Popen` as is needed to stop it."""

    def __init__(self, pid: int, started: float) -> None:
        self.pid, self._started = pid, started

    def poll(self) -> int | None:
        """None while it runs; how it ended, only who started it is told."""
        began = started(self.pid)
        return None if began is not None and abs(began - self._started) < _CLOCKS_DIFFER else 0

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        end = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(_LOOK)
        return 0

    def send_signal(self, sig: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, sig)


def started(pid: int) -> float | None:
    """When a process began, in seconds since 1970, by which it is told from a later one of the same number; None = it
    has ended.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except (psutil.Error, OverflowError, ValueError):
        return None


def own_group() -> dict[str, Any]:
    """Arguments of `subprocess.Popen`: Ctrl-C on this terminal does not reach the process, and it can be stopped
    together with what it started.
    """
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def interrupt(process: Stoppable) -> None:
    """Ask a process of `own_group`, and what it started, to stop, as Ctrl-C does."""
    if sys.platform == "win32":
        # it has ended, or there is no console: Python then ends it, and calls its own error a SystemError
        with contextlib.suppress(OSError, SystemError):
            process.send_signal(signal.CTRL_BREAK_EVENT)
    else:
        _signal(process, signal.SIGINT)


def terminate(process: Stoppable) -> None:
    """Tell a process of `own_group`, and what it started, to end. Windows has no word for that: they are killed."""
    _signal(process, signal.SIGTERM)


def kill(process: Stoppable) -> None:
    """End a process of `own_group`, and what it started, whatever they are doing."""
    _signal(process, _KILL)


def any_left(process: Stoppable) -> bool:
    """Whether a process of `own_group`, or what it started, still runs; on Windows nothing is found any more of what
    outlives the process itself.
    """
    return process.poll() is None or _signal(process, 0)


def _signal(process: Stoppable, number: int) -> bool:
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


def _family(process: Stoppable) -> list[Any]:
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
