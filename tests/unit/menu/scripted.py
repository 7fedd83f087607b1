"""A person and a machine for the menu: answers in order, commands on record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twinloop.menu.director import Back, Check, Option

COLUMNS = 80
LEAVE = object()
"""Stands for Ctrl-C at a question."""


class Person:
    """Answers by a part of the question; a question without an answer takes the default, as Enter would."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {key.replace("_", " "): value for key, value in answers.items()}
        self.asked: list[str] = []
        self.said: list[str] = []

    def _answer(self, question: str, default: Any) -> Any:
        self.asked.append(question)
        found = next((key for key in self.answers if key in question.lower()), None)
        if found is None:
            return default
        answer = self.answers[found]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if answer is LEAVE:
            raise Back
        return answer

    def choose(self, question: str, options: Sequence[Option], default: str | None = None) -> str:
        values = [option.value for option in options]
        keys = [option.key for option in options if option.key]
        assert len(set(keys)) == len(keys) and all(len(key) == 1 for key in keys), keys
        width = max(len(option.label) for option in options)
        for option in options:
            line = f"{' » 1) ' if option.key else ' » '}{option.label:<{width}}  {option.note}".rstrip()
            assert len(line) < COLUMNS, f"cut off in a terminal of {COLUMNS} columns: {line}"
        answer = self._answer(question, default if default in values else values[0])
        assert answer in values, f"{answer} is no answer to {question}: {values}"
        return str(answer)

    def text(self, question: str, default: str = "", check: Check | None = None) -> str:
        answer = str(self._answer(question, default))
        assert check is None or check(answer) == "", f"{question} {answer}: {check(answer)}"
        return answer

    path = text

    def confirm(self, question: str, default: bool = True) -> bool:
        return bool(self._answer(question, default))

    def say(self, text: str) -> None:
        self.said.append(text)


class Machine:
    """Notes every command; exit codes and answers as told."""

    def __init__(
        self, replies: Mapping[str, Any] | None = None, code: Callable[[Sequence[str]], int] = lambda argv: 0
    ) -> None:
        self.ran: list[list[str]] = []
        self._replies, self._code = replies or {}, code

    def run(self, argv: Sequence[str]) -> int:
        code = self._code(argv)
        if code == 0:
            self.ran.append(list(argv))
        return code

    def ask(self, argv: Sequence[str]) -> Any:
        return self._replies.get(" ".join(argv))
