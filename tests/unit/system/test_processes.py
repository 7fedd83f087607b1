"""Processes are stopped together with what they started, by what each system has for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import psutil
import pytest

from twinloop.system import processes

Process = subprocess.Popen[str]
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def pair() -> Iterator[tuple[Process, int]]:
    """A process in a group of its own, and the pid of another that it started."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, **processes.own_group()
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        yield process, child
    finally:
        os.killpg(process.pid, signal.SIGKILL) if _lives(child) or process.poll() is None else None
        process.wait()
        process.stdout.close()


def _lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def _gone(pid: int) -> bool:
    end = time.monotonic() + 10
    while _lives(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not _lives(pid)


@pytest.mark.parametrize("stop", [processes.interrupt, processes.terminate, processes.kill])
def test_both_end(pair: tuple[Process, int], stop: Callable[[Process], None]) -> None:
    process, child = pair
    assert processes.any_left(process)
    stop(process)
    process.wait(10)
    assert _gone(child)
    stop(process)  # of what is gone there is nothing to stop


@pytest.mark.parametrize("stop", [processes.terminate, processes.kill])
def test_both_end_where_no_signals_are(
    pair: tuple[Process, int], stop: Callable[[Process], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, child = pair
    monkeypatch.setattr(sys, "platform", "win32")
    assert processes.any_left(process)
    stop(process)
    process.wait(10)
    assert _gone(child) and not processes.any_left(process)
    stop(process)


def test_under_windows_a_group_is_interrupted_by_ctrl_break(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []

    def refuse(number: int) -> None:
        sent.append(number)
        raise SystemError("there is no console")

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", 1, raising=False)
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x200, raising=False)
    assert processes.own_group() == {"creationflags": 0x200}
    processes.interrupt(SimpleNamespace(send_signal=refuse))  # type: ignore[arg-type]
    assert sent == [1]


def test_who_lives() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert processes.is_alive(os.getpid()) and processes.is_alive(os.getppid())
    assert not processes.is_alive(ended.pid) and not processes.is_alive(10**30)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interruption_is_heeded_where_it_was_ignored(name: str) -> None:
    """The second stands for SIGBREAK, which is how Windows interrupts a group."""
    code = f"""
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.SIGBREAK = signal.SIGTERM
from twinloop.system.processes import heed_interruptions
heed_interruptions()
try:
    signal.raise_signal(signal.{name})
except KeyboardInterrupt:
    print("heeded")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "heeded\n"


TOLD = """
import os, signal, sys, threading
from twinloop.system.processes import cleared_up_when_ended
number, how = int(sys.argv[1]), sys.argv[2]
if how == "ignored":
    signal.signal(number, signal.SIG_IGN)
before = signal.getsignal(number)
def work():
    with cleared_up_when_ended():
        try:
            if how != "unharmed":
                os.kill(os.getpid(), number)
        finally:
            print("cleared up", flush=True)
if how == "thread":
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
else:
    work()
print("goes on", signal.getsignal(number) == before, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(
    ("how", "said", "ended"),
    [
        ("plain", "cleared up\n", True),
        ("thread", "", True),
        ("ignored", "cleared up\ngoes on True\n", False),
        ("unharmed", "cleared up\ngoes on True\n", False),
    ],
)
def test_what_ends_a_process_lets_it_clear_up_first(name: str, how: str, said: str, ended: bool) -> None:
    """It ends by that signal all the same, as whoever sent it expects; another thread has no say in it."""
    number = getattr(signal, name)
    done = subprocess.run([sys.executable, "-c", TOLD, str(int(number)), how], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == (said, -number if ended else 0), done.stderr


def test_a_process_is_found_again_by_its_start(pair: tuple[Process, int]) -> None:
    process, child = pair
    began = processes.started(process.pid)
    assert began is not None and processes.Found(process.pid, began + 60).poll() == 0, "a later one of that number"
    found = processes.Found(process.pid, began)
    assert found.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        found.wait(0.1)
    processes.terminate(found)
    process.wait(10)
    assert found.wait(10) == 0 and _gone(child) and processes.started(process.pid) is None
    found.send_signal(signal.SIGTERM)  # of what is gone there is nothing to stop
