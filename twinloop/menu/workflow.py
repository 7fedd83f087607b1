"""A workflow: a name, a line about it, and the questions and commands it consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twinloop.menu.session import Session


@dataclass(frozen=True)
class Workflow:
    """One entry of the menu.

    Attributes:
        key: stands in the menu's memory. note: what it does, in a few words. commands: the plain commands behind it,
            for people without a terminal.
    """

    key: str
    title: str
    note: str
    commands: str
    run: Callable[[Session], None]
