"""Ctrl-C, noted when it comes: the exception that it raises is lost inside of a callback, and libraries make another
error of it.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_came = False


def note(number: int, frame: FrameType | None) -> None:
    """The handler of a signal: raises KeyboardInterrupt."""
    global _came
    _came = True
    signal.default_int_handler(number, frame)


@contextmanager
def noted() -> Iterator[None]:
    """Note Ctrl-C within the block; an error that leaves it after that is a KeyboardInterrupt.

    Nothing changes where it is ignored, as for what a script starts with ``&``, or handled by somebody else.
    """
    forget()
    here = threading.current_thread() is threading.main_thread()
    taken = here and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if taken:
            signal.signal(signal.SIGINT, note)
        yield
    except Exception as error:
        if _came:
            raise KeyboardInterrupt from error
        raise
    finally:
        if taken:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def came() -> bool:
    """Whether Ctrl-C was pressed, whatever became of the exception."""
    return _came


def forget() -> None:
    """It was heeded, and the command goes on."""
    global _came
    _came = False


def raise_if_lost() -> None:
    """Raise KeyboardInterrupt where Ctrl-C was pressed and its exception was lost: it is not on its way here."""
    if _came and threading.current_thread() is threading.main_thread() and not _on_its_way():
        raise KeyboardInterrupt


def _on_its_way() -> bool:
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False
