"""An answer that is offered: Enter takes it, typing replaces it, an arrow key begins to change it."""

from __future__ import annotations

import os
from typing import Any

from prompt_toolkit.filters import shift_selection_mode
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent, merge_key_bindings
from prompt_toolkit.keys import Keys
from questionary import Question


def offered(question: Question) -> Question:
    """The same question with its default text selected, as a browser selects the text of a field that one tabs into.

    prompt_toolkit lets typing replace a selection; for what questionary and the terminal do otherwise there are keys
    here.
    """
    app = question.application
    buffer = app.current_buffer
    if not buffer.text:
        return question
    buffer.cursor_position = 0
    buffer.start_selection()
    buffer.cursor_position = len(buffer.text)
    if buffer.selection_state is not None:
        buffer.selection_state.enter_shift_mode()
    buffer.on_text_changed += lambda changed: changed.exit_selection()
    app.key_bindings = merge_key_bindings([*filter(None, [app.key_bindings]), _keys()])
    return question


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add(Keys.ControlM, filter=shift_selection_mode, eager=True)
    def _take(event: KeyPressEvent) -> None:
        # what is wrong stays selected, so that typing replaces it
        if event.current_buffer.validate():
            event.current_buffer.exit_selection()
            _again(event)

    @keys.add(Keys.ControlI, filter=shift_selection_mode, eager=True)
    def _complete(event: KeyPressEvent) -> None:
        event.current_buffer.exit_selection()
        _again(event)

    @keys.add(Keys.BracketedPaste, filter=shift_selection_mode, eager=True)
    @keys.add(os.path.sep, filter=shift_selection_mode, eager=True)
    def _replace(event: KeyPressEvent) -> None:
        event.current_buffer.cut_selection()
        _again(event)

    @keys.add(Keys.Delete, filter=shift_selection_mode, eager=True)
    def _delete(event: KeyPressEvent) -> None:
        event.current_buffer.cut_selection()

    return keys


def _again(event: Any) -> None:
    """Let the key do what it does without a selection."""
    event.key_processor.feed(event.key_sequence[0], first=True)
