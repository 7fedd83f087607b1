"""One workflow in progress: questions are asked once, commands are run once, also over several starts of the menu."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from twinloop.errors import INTERRUPTED, WaitingForReview
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

    @property
    def waits(self) -> bool:
        """Whether nothing is wrong: a person is to look at a round's images first."""
        return self.code == WaitingForReview.exit_code


def _expanded(text: str) -> str:
    return str(Path(text).expanduser())


class Session:
    """What a workflow works with.

    The answer of the last time is offered again; a key that ends with the person's name keeps what is said of one
    person from being offered for another (`questions.about`).

    Args:
        progress: the answers and commands so far, empty for a new one.
    """

    def __init__(self, director: Director, runner: Runner, memory: Memory, progress: Unfinished) -> None:
        self.director, self.runner = director, runner
        self._memory, self._progress = memory, progress

    def text(
        self, key: str, question: str, default: str = "", check: Check | None = None, offer_last: bool = True
    ) -> str:
        """A line of text, remembered under ``key``; ``offer_last``: the answer of the last time comes before
        ``default``.
        """
        offered = self._memory.last(key, default) if offer_last else default
        return self._once(key, lambda: self.director.text(question, offered, check))

    def path(self, key: str, question: str, default: str = "", check: Check | None = None) -> str:
        """A path as a command line takes it: ``~`` spelled out, no slash at the end."""
        return _expanded(self._once(key, lambda: self.director.path(question, self._memory.last(key, default), check)))

    def new_path(self, key: str, question: str, default: str, check: Check, offer_last: bool = True) -> str:
        """The same of what need not be there yet."""
        return _expanded(self.text(key, question, default, check, offer_last))

    def choose(self, key: str, question: str, options: Sequence[Option], default: str = "") -> str:
        return self._once(key, lambda: self.director.choose(question, options, self._memory.last(key, default)))

    def confirm(self, key: str, question: str, default: bool = True) -> bool:
        return self._once(key, lambda: "yes" if self.director.confirm(question, default) else "no") == "yes"

    def _once(self, key: str, ask: Callable[[], str]) -> str:
        if key not in self._progress.answers:
            self._memory.answered(key, ask())
        return self._progress.answers[key]

    def again(self, key: str) -> None:
        """Ask once more what was answered under this key."""
        self._progress.answers.pop(key, None)

    def renew(self, key: str, state: str, command: str, why: str) -> None:
        """Where ``state`` is not what it was when this was asked before, all runs of the command are to be done again.

        Args:
            state: of what the command goes by, such as files in a folder. why: what is told then, a sentence.
        """
        if self._progress.answers.get(key, state) != state:
            if any(argv[:1] == [command] for argv in self._progress.done):
                self.director.say(f"\n{why}")
            self._memory.undone(command)
        self.note(key, state)

    def note(self, key: str, state: str) -> None:
        """What this is from now on, for `renew`."""
        self._memory.answered(key, state)

    def run(
        self, what: str, argv: Sequence[str], cost: str = "", findings: Collection[int] = (), once: Collection[str] = ()
    ) -> None:
        """One command, printed and carried out; one that was done before is not done again.

        Args:
            findings: exit codes beside 0 that say what was found, not that the command failed.
            once: flags that have had their effect where the command was interrupted, or waits for a person.

        Raises:
            Stopped: it failed or was interrupted.
        """
        argv = list(argv)
        if argv in self._progress.done:
            self.director.say(f"\n{what}: done before")
            return
        self.director.say(f"\n{what}{f' ({cost})' if cost else ''}\n  $ {command_line(argv)}")
        code = self.runner.run(argv)
        if code != 0 and code not in findings:
            begun = code in (INTERRUPTED, WaitingForReview.exit_code)
            raise Stopped([word for word in argv if not (begun and word in once)], code)
        self._memory.did(argv)

    def ask(self, argv: Sequence[str]) -> Any:
        """What a command answers with ``--json``; None when it fails."""
        return self.runner.ask(argv)
