"""Who answers the questions: a person at a terminal, or a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

Check = Callable[[str], str]
"""An answer -> what is wrong with it, "" when it will do."""


class Back(Exception):
    """The question was left without an answer."""


@dataclass(frozen=True)
class Option:
    """One answer to choose: its value, how it reads, a note (what it costs, what it needs), and a key that picks it at
    once.
    """

    value: str
    label: str
    note: str = ""
    key: str = ""


class Director(Protocol):
    """Asks and tells.

    Raises:
        Back: from every question, when it is left.
    """

    def choose(self, question: str, options: Sequence[Option], default: str | None = None) -> str:
        """The value of one option."""
        ...

    def text(self, question: str, default: str = "", check: Check | None = None) -> str:
        """A line of text that passes the check."""
        ...

    def path(self, question: str, default: str = "", check: Check | None = None) -> str:
        """A path, completed as it is typed."""
        ...

    def confirm(self, question: str, default: bool = True) -> bool: ...

    def say(self, text: str) -> None: ...
