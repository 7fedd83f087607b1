"""Time, and where it is said what is done."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Time, so that tests and reproducible runs can fix it."""

    def stamp(self) -> str:
        """Local time as ``YYYYmmdd_HHMMSS``."""
        ...


class Reporter(Protocol):
    """Where the stages say what they do: the terminal, a log, nothing."""

    def line(self, text: str) -> None:
        """One finished statement."""
        ...

    def warn(self, text: str) -> None:
        """Something the user should know."""
        ...

    def progress(self, label: str, done: float, total: int) -> None:
        """``done`` of ``total`` units, a part of one included where it takes long; the reporter works out rate and time
        left. What stands in brackets after the label may change on the way.
        """
        ...


class SilentReporter:
    """A `Reporter` for work whose result says everything."""

    def line(self, text: str) -> None:
        """Not shown."""

    def warn(self, text: str) -> None:
        """Not shown."""

    def progress(self, label: str, done: float, total: int) -> None:
        """Not shown."""


def nobody_listens(text: str) -> None:
    """Where what should be known may be said to nobody."""
