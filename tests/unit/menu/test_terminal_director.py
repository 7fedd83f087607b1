"""Questions on a terminal: what stays on the screen after an answer, and when an answer is checked."""

from __future__ import annotations

import contextvars
import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pexpect
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

from twinloop.menu.director import Option
from twinloop.menu.terminal import TerminalDirector

OPTIONS = [Option("a", "short", "a note on it"), Option("b", "a much longer label", "another note")]


PAUSE = 0.8
"""Seconds in which a question is drawn and completions are looked for."""


@contextmanager
def terminal(keys: str, *later: str) -> Iterator[io.StringIO]:
    """A terminal of 80 columns on which these keys are pressed, the later ones each after a pause; what is written to
    it.
    """
    screen = io.StringIO()
    output = Vt100_Output(screen, lambda: Size(rows=30, columns=80), term="xterm")
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=output):
        pipe.send_text(keys)
        timers = [Timer(number * PAUSE, pipe.send_text, (more,)) for number, more in enumerate(later, 1)]
        for timer in timers:
            timer.start()
        yield screen


def asked_apart(ask: Callable[[], str]) -> str:
    """The answer, asked in a thread of its own: this one may already run an event loop, as the
    browser tests leave one.
    """
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(context.run, ask).result()


def test_an_answer_stays_without_its_note_and_padding() -> None:
    with terminal("\r") as screen:
        assert asked_apart(lambda: TerminalDirector().choose("Which one?", OPTIONS, "a")) == "a"
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    last = plain.rsplit("? Which one?", 1)[1]
    assert last.strip() == "short"
    assert "\x1b[J" in screen.getvalue(), "the list is taken away"


@pytest.mark.parametrize("kind", ["text", "path"])
def test_text_is_checked_when_it_is_given_and_not_while_it_is_typed(kind: str) -> None:
    asked = []

    def check(text: str) -> str:
        asked.append(text)
        return "" if text else "needs an answer"

    with terminal("\rphotos\r"):
        assert asked_apart(lambda: getattr(TerminalDirector(), kind)("Where?", "", check)) == "photos"
    assert set(asked) == {"", "photos"}, "no half-typed answer was looked at"


PASTED = "\x1b[200~/photos/of mia\x1b[201~"


@pytest.mark.parametrize("kind", ["text", "path"])
@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        ("\r", "alice"),
        ("mia\r", "mia"),
        ("/mia\r", "/mia"),
        (f"{PASTED}\r", "/photos/of mia"),
        ("\x1b[Dx\r", "alicxe"),
        ("\x1b[Fx\r", "alicex"),
        ("\x7fmia\r", "mia"),
        ("\x1b[3~mia\r", "mia"),
        ("\x7f\x7f\x7fmia\r", "mia"),
        ("\x17mia\r", "mia"),
    ],
)
def test_enter_takes_what_is_offered_and_typing_replaces_it(kind: str, keys: str, answer: str) -> None:
    with terminal(keys):
        assert asked_apart(lambda: getattr(TerminalDirector(), kind)("Who?", "alice")) == answer


@pytest.mark.parametrize("kind", ["text", "path"])
def test_what_is_offered_and_wrong_is_replaced_too(kind: str) -> None:
    def check(text: str) -> str:
        return "there is no such folder" if text == "models" else ""

    with terminal("\rdetectors\r"):
        assert asked_apart(lambda: getattr(TerminalDirector(), kind)("Where?", "models", check)) == "detectors"


def test_a_path_that_is_offered_is_completed(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with terminal("\t", "\r"):
        assert asked_apart(lambda: TerminalDirector().path("Where?", f"{tmp_path}/pho")) == f"{tmp_path}/photos"


def test_what_is_offered_is_selected_until_it_is_taken() -> None:
    with terminal("", "\r") as screen:
        assert asked_apart(lambda: TerminalDirector().text("Who?", "alice")) == "alice"
    selected, _, taken = screen.getvalue().partition("alice")
    reversed_text = re.compile(r"\x1b\[[0-9;]*;7m")
    assert reversed_text.search(selected) and "alice" in taken and not reversed_text.search(taken)


TWO_QUESTIONS = """
import sys, time
from twinloop.menu.director import Option
from twinloop.menu.terminal import TerminalDirector
director = TerminalDirector()
print("a command runs", flush=True)
time.sleep(0.5)
people = [Option("ana", "Ana"), Option("bob", "Bob")]
print("answers:", director.choose("Who is meant?", people), director.text("Where to?", "photos"), flush=True)
"""


def test_keys_of_before_a_question_do_not_answer_it() -> None:
    """Neither those pressed during a command, nor those that came in one go with the last answer."""
    shell = pexpect.spawn(sys.executable, ["-c", TWO_QUESTIONS], dimensions=(30, 100), encoding="utf-8", timeout=60)
    shell.expect("a command runs")
    shell.send("\x1b[B\r\r")
    shell.expect("Who is meant")
    assert shell.expect(["Where to", pexpect.TIMEOUT], timeout=0.5) == 1, "nobody has answered it"
    shell.send("\x1b[B\r\r")
    shell.expect("Where to")
    assert shell.expect(["answers:", pexpect.TIMEOUT], timeout=0.5) == 1
    shell.send("\r")
    shell.expect("answers: bob photos")
    shell.close()


def test_answers_that_are_piped_in_are_not_forgotten() -> None:
    script = TWO_QUESTIONS.replace("time.sleep(0.5)", "")
    piped = subprocess.run(
        [sys.executable, "-c", script], input="\x1b[B\r\r", capture_output=True, text=True, timeout=60, check=True
    )
    assert "answers: bob photos" in piped.stdout
