"""Reading what another program says."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T", bytes, str)
_PATIENCE = 0.5
"""Seconds after which Ctrl-C is heard at the latest."""


def read_aside(read: Callable[[], T]) -> Iterator[T]:
    """What ``read`` returns, call by call, until that is empty; Ctrl-C is heard meanwhile.

    On Windows it ends neither a read nor a wait, so another thread reads, and this one waits a little at a time.

    Raises:
        What ``read`` raises.
    """
    found: queue.SimpleQueue[T | Exception] = queue.SimpleQueue()

    def fill() -> None:
        try:
            while piece := read():
                found.put(piece)
            found.put(piece)
        except (OSError, ValueError) as error:  # the second of a pipe that was closed meanwhile
            found.put(error)

    threading.Thread(target=fill, name="read aside", daemon=True).start()
    while True:
        try:
            piece = found.get(timeout=_PATIENCE)
        except queue.Empty:
            continue
        if isinstance(piece, Exception):
            raise piece
        if not piece:
            return
        yield piece
