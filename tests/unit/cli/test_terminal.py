"""What people see on a terminal, and what a log gets."""

from __future__ import annotations

import io
import json
import signal

import pytest

from twinloop.cli.terminal import EVERY_LOG, JsonLines, Terminal
from twinloop.system import interruption


@pytest.fixture(autouse=True)
def window(monkeypatch: pytest.MonkeyPatch) -> None:
    """As wide as these tests expect, whatever the terminal that they run in."""
    monkeypatch.setenv("COLUMNS", "80")


class Screen(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Watch:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def walk(terminal: Terminal, watch: Watch, total: int, seconds_each: float, label: str = "Generating") -> None:
    for done in range(1, total + 1):
        watch.time += seconds_each
        terminal.progress(label, done, total)


def test_lines_go_out_and_warnings_go_aside() -> None:
    out, err = io.StringIO(), io.StringIO()
    terminal = Terminal(out, err)
    terminal.line("done")
    terminal.warn("look")
    terminal.error("wrong")
    assert out.getvalue() == "done\n"
    assert err.getvalue() == "warning: look\nerror: wrong\n"


BITING = "a\x1b[31m\x1b]0;title\x07\r\x9b2J\x7f\u202egpj\u2066.jpg"
TAMED = "a\\x1b[31m\\x1b]0;title\\x07\\r\\x9b2J\\x7f\\u202egpj\\u2066.jpg"


@pytest.mark.parametrize("on_screen", [True, False])
def test_what_a_name_holds_for_the_terminal_is_not_obeyed(on_screen: bool) -> None:
    """A file name comes with photos from anywhere, and nearly every command names files."""
    out, err, watch = io.StringIO(), Screen() if on_screen else io.StringIO(), Watch()
    terminal = Terminal(out, err, watch)
    terminal.line(f"one:\t{BITING}\nalso علی\u200cرضا ✓")
    terminal.warn(BITING)
    terminal.error(f"{BITING}\nmore")
    assert out.getvalue() == f"one:\t{TAMED}\nalso علی\u200cرضا ✓\n"
    assert err.getvalue() == f"warning: {TAMED}\nerror: {TAMED}\nmore\n"
    walk(terminal, watch, 3, 20.0, label="\x1b[2J\nerror: fake")
    assert "\x1b" not in err.getvalue() and "\\x1b[2J\\nerror: fake" in err.getvalue()


def test_a_program_that_reads_along_hears_names_as_they_are() -> None:
    out = io.StringIO()
    terminal = JsonLines(out, out)
    terminal.line(BITING)
    terminal.warn(BITING)
    assert [json.loads(line)["text"] for line in out.getvalue().splitlines()] == [BITING, f"warning: {BITING}"]
    assert "\x1b" not in out.getvalue()


class Full(io.StringIO):
    """A stream on a disk that is full."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_what_cannot_be_told_aside_ends_no_command() -> None:
    out, watch = io.StringIO(), Watch()
    terminal = Terminal(out, Full(), watch)
    terminal.warn("look")
    terminal.error("wrong")
    walk(terminal, watch, 3, EVERY_LOG)
    terminal.line("done")
    assert out.getvalue() == "done\n"
    for kind in (Terminal, JsonLines):
        aside = Full()
        kind(aside, aside).line("with --json")
        with pytest.raises(OSError):
            kind(Full(), io.StringIO()).line("the output itself")


def test_an_interruption_that_was_lost_is_found_at_the_next_word() -> None:
    for kind in (Terminal, JsonLines):
        for say in (lambda: told.line("done"), lambda: told.progress("Training", 1, 9)):  # noqa: B023
            told = kind(io.StringIO(), io.StringIO())
            try:
                interruption.note(signal.SIGINT, None)
            except KeyboardInterrupt:
                say()  # on its way: what clears up may tell so
            with pytest.raises(KeyboardInterrupt):
                say()
            told.warn("a warning is no place to stop")
            interruption.forget()
            say()


def seen(drawn: str) -> str:
    """What is left in a line of a screen after all that was drawn over in it, without blanks at its end."""
    line = ""
    for part in drawn.split("\r"):
        line = part + line[len(part) :]
    return line.rstrip()


def test_what_is_quick_leaves_nothing_in_a_log() -> None:
    err, watch = io.StringIO(), Watch()
    walk(Terminal(io.StringIO(), err, watch), watch, 40, 0.1)
    assert err.getvalue() == ""


def test_what_is_slow_leaves_a_line_now_and_then() -> None:
    err, watch = io.StringIO(), Watch()
    walk(Terminal(io.StringIO(), err, watch), watch, 40, 5.0)
    lines = err.getvalue().splitlines()
    assert 5 < len(lines) <= 40 * 5.0 / EVERY_LOG
    assert lines[0] == "Generating: 4/40, 5.0 s each, 3:00 left"
    assert "\r" not in err.getvalue()


def test_a_bar_is_drawn_over_and_taken_away() -> None:
    err, out, watch = Screen(), io.StringIO(), Watch()
    terminal = Terminal(out, err, watch)
    walk(terminal, watch, 8, 0.5)
    drawn = err.getvalue()
    assert "\rGenerating [######------------------] 2/8, 2.0/s, 0:03 left" in drawn
    assert seen(drawn) == ""
    terminal.progress("Validating", 1, 9)
    watch.time += 1
    terminal.progress("Validating", 2, 9)
    terminal.line("a statement")
    assert seen(err.getvalue()) == ""
    assert out.getvalue() == "a statement\n"


def test_a_shorter_line_leaves_nothing_of_a_longer_one() -> None:
    err, watch = Screen(), Watch()
    terminal = Terminal(io.StringIO(), err, watch)
    for label in ("Generating (loss 0.12345)", "Generating"):
        terminal.progress(label, 1, 8)
        watch.time += 1.0
        terminal.progress(label, 1, 8)
        assert seen(err.getvalue()).startswith(f"{label} [") and seen(err.getvalue()).endswith("] 1/8")
    assert "\x1b" not in err.getvalue(), "the Windows console shows escape sequences as they are"


def test_a_bar_fits_into_the_window() -> None:
    err, watch = Screen(), Watch()
    walk(Terminal(io.StringIO(), err, watch), watch, 3, 1.0, label="L" * 500)
    assert all(len(part) < 80 for part in err.getvalue().split("\r"))


@pytest.mark.parametrize("columns", [120, 80, 60, 40])
def test_the_time_left_is_never_cut(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Of "3:42 left" the piece "3:4" would read as a time of its own; the bar gives way."""
    monkeypatch.setenv("COLUMNS", str(columns))
    err, watch = Screen(), Watch()
    walk(Terminal(io.StringIO(), err, watch), watch, 220, 1.02, label="Training LoRA v1 (loss 0.261)")
    shown = [part.rstrip() for part in err.getvalue().split("\r") if part.strip()]
    assert all(len(part) < columns for part in shown)
    assert all(part.endswith(" left") for part in shown[1:]) and shown[1].startswith("Training L")
    assert ("[#" in shown[100]) == (columns >= 80)


def test_a_changing_figure_in_the_label_does_not_restart_the_clock() -> None:
    err, watch = io.StringIO(), Watch()
    terminal = Terminal(io.StringIO(), err, watch)
    for step in range(1, 101):
        watch.time += 1.0
        terminal.progress(f"Training LoRA v1 (loss {1 / step:.3f})", step, 100)
    lines = err.getvalue().splitlines()
    assert lines[-1].startswith("Training LoRA v1 (loss 0.0") and "1.0/s" in lines[-1]
    assert len(lines) == 6


def test_what_was_done_before_does_not_count_for_the_rate() -> None:
    err, watch = io.StringIO(), Watch()
    terminal = Terminal(io.StringIO(), err, watch)
    terminal.progress("Observing", 900, 1000)  # found in the cache
    watch.time += 20
    terminal.progress("Observing", 910, 1000)
    assert err.getvalue() == "Observing: 910/1000, 2.0 s each, 3:00 left\n"


def told(drawn: str) -> int:
    """Seconds left by the last line."""
    minutes, seconds = drawn.rstrip().removesuffix(" left").rsplit(" ", 1)[-1].split(":")
    return 60 * int(minutes) + int(seconds)


@pytest.mark.parametrize("known_seconds", [0.0001, 0.001, 0.02])
def test_what_is_known_already_passes_at_once_and_says_nothing_of_the_rest(known_seconds: float) -> None:
    err, watch = Screen(), Watch()
    terminal = Terminal(io.StringIO(), err, watch)
    for done in range(1, 1000):
        watch.time += known_seconds if done <= 900 else 1.0
        terminal.progress("Observing", done, 1000)
        if done >= 905:
            assert told(err.getvalue()) == pytest.approx(1000 - done, abs=1), done


def test_a_slow_start_is_forgotten() -> None:
    err, watch = Screen(), Watch()
    terminal = Terminal(io.StringIO(), err, watch)
    terminal.progress("Scanning", 0, 1000)
    for done in range(1, 1000):
        watch.time += 60.0 if done == 1 else 0.25
        terminal.progress("Scanning", done, 1000)
        if 20 <= done < 990:
            assert told(err.getvalue()) == pytest.approx((1000 - done) / 4, abs=2), done


def test_the_pace_is_that_of_late() -> None:
    """Twice as slow from the middle on: half a minute later the old pace counts no more."""
    err, watch = Screen(), Watch()
    terminal = Terminal(io.StringIO(), err, watch)
    for done in range(1, 400):
        watch.time += 1.0 if done <= 200 else 2.0
        terminal.progress("Training", done, 400)
        if done >= 220:
            assert told(err.getvalue()) == pytest.approx(2 * (400 - done), abs=2), done


def test_of_long_units_some_count() -> None:
    """By turns one and three minutes: never the pace of the last one alone."""
    err, watch = Screen(), Watch()
    terminal = Terminal(io.StringIO(), err, watch)
    terminal.progress("Training", 0, 40)
    for done in range(1, 30):
        watch.time += 60.0 if done % 2 else 180.0
        terminal.progress("Training", done, 40)
        if done > 2:
            assert "s each" in err.getvalue() and 90 <= float(err.getvalue().split(", ")[-2].split(" ")[0]) <= 150


def test_a_part_of_a_unit_counts_for_the_time_left() -> None:
    """Of the first batch of images nothing is done for minutes."""
    err, watch = Screen(), Watch()
    terminal = Terminal(io.StringIO(), err, watch)
    terminal.progress("Generating: getting the base model ready", 0, 8)
    assert seen(err.getvalue()).startswith("Generating: getting the base model ready [")
    watch.time += 100
    terminal.progress("Generating (step 1 of 10)", 0.25, 8)
    watch.time += 10
    terminal.progress("Generating (step 3 of 10)", 0.75, 8)
    assert seen(err.getvalue()).endswith("] 0/8, 20.0 s each, 2:25 left"), "what it waited for is none of its time"


def test_a_program_that_reads_along_hears_of_every_new_step_at_once() -> None:
    out, watch = io.StringIO(), Watch()
    terminal = JsonLines(out, out, watch)
    for label, done in (("Validating", 8), ("Generating: waiting", 0), ("Generating (step 1 of 3)", 0.3333)):
        terminal.progress(label, done, 8)
    terminal.progress("Generating (step 2 of 3)", 0.6667, 8)
    told = [json.loads(line)["progress"] for line in out.getvalue().splitlines()]
    assert [(one["label"], one["done"]) for one in told] == [
        ("Validating", 8),
        ("Generating: waiting", 0),
        ("Generating (step 1 of 3)", 0.33),
    ]


def test_hours() -> None:
    err, watch = io.StringIO(), Watch()
    terminal = Terminal(io.StringIO(), err, watch)
    terminal.progress("Training", 1, 1001)
    watch.time += 60
    terminal.progress("Training", 6, 1001)
    assert err.getvalue() == "Training: 6/1001, 12.0 s each, 3:19:00 left\n"
