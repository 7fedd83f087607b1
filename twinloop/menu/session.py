"""One workflow in progress: questions are asked once, commands are run once, also over several starts of the menu."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twinloop.menu.director import Check, Director, Option
from twinloop.menu.memory import Memory, Unfinished
from twinloop.menu.runner import Runner, command_line


class Stopped(Exception):
    """A command did not come to its end.

    Attributes:
        code: its exit code.
    """

    def __init__(self, argv: Sequence[str], code: int) -> None:
        super().__init__(command_line(argv))
        self.code = code


class Session:
    """What a workflow works with.

    Args:
        progress: the answers and commands so far, empty for a new one.
    """

    def __init__(self, director: Director, runner: Runner, memory: Memory, progress: Unfinished) -> None:
        self.director, self.runner = director, runner
        self._memory, self._progress = memory, progress

    def text(self, key: str, question: str, default: str = "", check: Check | None = None) -> str:
        """A line of text, remembered under ``key``."""
        return self._once(key, lambda: self.director.text(question, self._memory.last(key, default), check))

    def path(self, key: str, question: str, default: str = "", check: Check | None = None) -> str:
        return self._once(key, lambda: self.director.path(question, self._memory.last(key, default), check))

    def choose(self, key: str, question: str, options: Sequence[Option], default: str = "") -> str:
        return self._once(key, lambda: self.director.choose(question, options, self._memory.last(key, default)))

    def confirm(self, key: str, question: str, default: bool = True) -> bool:
        return self._once(key, lambda: "yes" if self.director.confirm(question, default) else "no") == "yes"

    def _once(self, key: str, ask: Callable[[], str]) -> str:
        if key not in self._progress.answers:
            self._memory.answered(key, ask())
        return self._progress.answers[key]

    def run(self, what: str, argv: Sequence[str], cost: str = "") -> None:
        """One command, printed and carried out; one that was done before is not done again.

        Raises:
            Stopped: it failed or was interrupted.
        """
        argv = list(argv)
        if argv in self._progress.done:
            self.director.say(f"\n{what}: done before")
            return
        self.director.say(f"\n{what}{f' ({cost})' if cost else ''}\n  $ {command_line(argv)}")
        code = self.runner.run(argv)
        if code != 0:
            raise Stopped(argv, code)
        self._memory.did(argv)

    def ask(self, argv: Sequence[str]) -> Any:
        """What a command answers with ``--json``; None when it fails."""
        return self.runner.ask(argv)
