"""Streams that cannot be written any more."""

from __future__ import annotations

import os
from typing import TextIO


def give_up(stream: TextIO) -> None:
    """Have a stream lead nowhere from now on: what it still holds would fail again, at the latest when Python ends."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):  # it is none of the system's
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def tell(stream: TextIO, text: str) -> None:
    """Write what need not arrive: nothing fails where it cannot be written."""
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        give_up(stream)


def give_up_if_refused(stream: TextIO) -> None:
    """Have it lead nowhere if what it holds cannot be written."""
    try:
        stream.flush()
    except OSError:
        give_up(stream)
