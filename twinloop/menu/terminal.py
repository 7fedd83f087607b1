"""Questions in a terminal: arrow keys, completion, Ctrl-C to go back. Works over ssh and in tmux."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import questionary
from prompt_toolkit.input.typeahead import clear_typeahead

from twinloop.menu.director import Back, Check, Option
from twinloop.menu.offered import offered
from twinloop.system import interruption
from twinloop.system.keyboard import discard_typed_ahead

_ANSWER = "fg:#FF9D00 bold"
"""As questionary shows the answers to its other questions."""


class TerminalDirector:
    """A `Director` on questionary."""

    def choose(self, question: str, options: Sequence[Option], default: str | None = None) -> str:
        width = max(len(option.label) for option in options)
        labels = {option.value: option.label for option in options}
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
        asked = questionary.select(
            question, choices=choices, default=known, instruction=hint, use_shortcuts=keyed, erase_when_done=True
        )
        answer = str(_answer(asked))
        # the list goes, and with it the notes and the padding that questionary would repeat
        questionary.print(f"? {question} ", style="bold", end="")
        questionary.print(labels[answer], style=_ANSWER)
        return answer

    def text(self, question: str, default: str = "", check: Check | None = None) -> str:
        return str(_answer(offered(questionary.text(question, default=default, **_checked(check))))).strip()

    def path(self, question: str, default: str = "", check: Check | None = None) -> str:
        return str(_answer(offered(questionary.path(question, default=default, **_checked(check))))).strip()

    def confirm(self, question: str, default: bool = True) -> bool:
        return bool(_answer(questionary.confirm(question, default=default)))

    def say(self, text: str) -> None:
        questionary.print(text)


def _answer(question: Any) -> Any:
    """The answer; `unsafe_ask` so that Ctrl-C arrives here instead of becoming a printed line.

    Only keys that are pressed at the question answer it: those of before, pressed during a command, say, were meant for
    something else.
    """
    _forget_earlier_keys(question)
    try:
        answer = question.unsafe_ask()
    except (KeyboardInterrupt, EOFError):
        interruption.forget()
        raise Back from None
    if answer is None:
        raise Back
    return answer


def _forget_earlier_keys(question: Any) -> None:
    """Those that wait in the terminal, and those that came in one go with the last answer."""
    if discard_typed_ahead():
        clear_typeahead(question.application.input)


def _checked(check: Check | None) -> dict[str, Any]:
    """An answer is checked once it is given: half a path is no mistake, and a check may have to look into a folder."""
    if check is None:
        return {}
    return {"validate": lambda text: check(text.strip()) or True, "validate_while_typing": False}
