"""Questions in a terminal: arrow keys, completion, Ctrl-C to go back. Works over ssh and in tmux."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import questionary

from twinloop.menu.director import Back, Check, Option


class TerminalDirector:
    """A `Director` on questionary."""

    def choose(self, question: str, options: Sequence[Option], default: str | None = None) -> str:
        width = max(len(option.label) for option in options)
        keyed = all(option.key for option in options)
        choices = [
            questionary.Choice(
                f"{option.label:<{width}}  {option.note}".rstrip(),
                value=option.value,
                shortcut_key=option.key if keyed else None,
            )
            for option in options
        ]
        known = default if default in {option.value for option in options} else None
        hint = "(arrow keys or a key, Enter)" if keyed else "(arrow keys, Enter)"
        return str(
            _answer(questionary.select(question, choices=choices, default=known, instruction=hint, use_shortcuts=keyed))
        )

    def text(self, question: str, default: str = "", check: Check | None = None) -> str:
        return str(_answer(questionary.text(question, default=default, validate=_validator(check)))).strip()

    def path(self, question: str, default: str = "", check: Check | None = None) -> str:
        return str(_answer(questionary.path(question, default=default, validate=_validator(check)))).strip()

    def confirm(self, question: str, default: bool = True) -> bool:
        return bool(_answer(questionary.confirm(question, default=default)))

    def say(self, text: str) -> None:
        questionary.print(text)


def _answer(question: Any) -> Any:
    """The answer; `unsafe_ask` so that Ctrl-C arrives here instead of becoming a printed line."""
    try:
        answer = question.unsafe_ask()
    except (KeyboardInterrupt, EOFError):
        raise Back from None
    if answer is None:
        raise Back
    return answer


def _validator(check: Check | None) -> Any:
    if check is None:
        return None
    return lambda text: check(text.strip()) or True
