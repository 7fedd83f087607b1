"""Another thread reads what a program says, so that Ctrl-C is heard on every system."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

from twinloop.system import pipes
from twinloop.system.pipes import read_aside


def saying(*pieces: bytes) -> Callable[[], bytes]:
    left = iter((*pieces, b""))
    return lambda: next(left)


def test_all_of_it_comes_in_its_order() -> None:
    assert list(read_aside(saying(b"a", b"b\n", b"c"))) == [b"a", b"b\n", b"c"]
    assert list(read_aside(saying())) == []


def test_errors_of_reading_come_through() -> None:
    def fail() -> bytes:
        raise OSError(5, "broken pipe of a kind")

    with pytest.raises(OSError, match="of a kind"):
        next(read_aside(fail))


def test_the_main_thread_waits_only_a_little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows hears of Ctrl-C between two waits, and within neither a wait nor a read."""
    out, into = os.pipe()
    readers, waits = list[threading.Thread](), list[Any]()
    monkeypatch.setattr(pipes, "_PATIENCE", 0.01)

    class Watched(queue.SimpleQueue[Any]):
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            waits.append(timeout)
            if len(waits) == 3:  # as Python raises it as soon as it can
                raise KeyboardInterrupt
            return super().get(block, timeout)

    def read() -> bytes:
        readers.append(threading.current_thread())
        return os.read(out, 10)

    monkeypatch.setattr(queue, "SimpleQueue", Watched)
    with pytest.raises(KeyboardInterrupt):
        next(read_aside(read))
    os.close(into)
    assert waits == [0.01] * 3
    assert len(readers) == 1 and readers[0] is not threading.main_thread() and readers[0].daemon
    readers[0].join(10)
    os.close(out)
