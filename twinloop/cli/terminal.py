"""The reporter that people see: lines, warnings, and how far a long step is."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from typing import TextIO

from twinloop.domain.wording import harmless, shown
from twinloop.system.interruption import raise_if_lost
from twinloop.system.streams import tell

BAR, SHORTEST_BAR = 24, 6
EVERY_TTY = 0.1
EVERY_LOG = 15.0
EVERY_JSON = 0.25
"""Seconds between two signs of progress: a bar is drawn often, a log gets a line now and then."""
WINDOW_SECONDS, WINDOW_UNITS = 30.0, 3
"""The pace of a step is that of so many seconds, and of so many units at least."""
MARK_SECONDS, LATE_MARKS, OTHER_PACE = 1.0, 4, 5.0
"""When the last marks, one a second at most, are so many times faster or slower than those before, these go."""


class Terminal:
    """Prints statements to ``out``; warnings, errors and progress to ``err``; signs that a terminal would obey, which
    names of files may hold, as escapes.

    On a terminal progress is one line that is drawn over; elsewhere a plain line now and then, none for what is quick.
    A command does its work also where nobody can be told: only ``out`` must be writable, where it is not ``err``.
    """

    def __init__(self, out: TextIO, err: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._out, self._err, self._now = out, err, now
        self._drawn = 0
        self._pace: _Pace | None = None

    def line(self, text: str) -> None:
        raise_if_lost()
        self.clear()
        self._write(self._out, f"{harmless(text)}\n")

    def warn(self, text: str) -> None:
        self._tell("warning", text)

    def error(self, text: str) -> None:
        self._tell("error", text)

    def _tell(self, kind: str, text: str) -> None:
        self.clear()
        self._write(self._err, harmless(f"{kind}: {text}\n"))

    def _write(self, stream: TextIO, text: str) -> None:
        if stream is self._err:
            tell(stream, text)
        else:
            stream.write(text)
            stream.flush()

    def progress(self, label: str, done: float, total: int) -> None:
        raise_if_lost()
        now = self._now()
        name = label.split(" (")[0]  # a loss in brackets changes with every step
        pace, begins = self._pace, False
        if pace is None or (pace.name, pace.total) != (name, total) or done < pace.first:
            pace = self._pace = _Pace(name, total, done, now)
            begins = not done
        pace.note(done, now)
        on_screen = self._err.isatty()
        if done >= total and on_screen:
            self.clear()
        elif (begins and on_screen) or now - pace.shown >= (EVERY_TTY if on_screen else EVERY_LOG):
            pace.shown = now
            self._draw(label, done, pace, on_screen, now)
        if done >= total:
            self._pace = None

    def _draw(self, label: str, done: float, pace: _Pace, on_screen: bool, now: float) -> None:
        label, figures = shown(label), f"{int(done)}/{pace.total}{pace.text(done, now)}"
        if not on_screen:
            self._write(self._err, f"{label}: {figures}\n")
            return
        text = _fitted(label, done / max(pace.total, 1), figures, shutil.get_terminal_size().columns - 1)
        # blanks over what was longer: the Windows console shows escape sequences as they are
        self._write(self._err, f"\r{text:<{self._drawn}}")
        self._drawn = len(text)

    def clear(self) -> None:
        """Take the progress line away."""
        if self._drawn:
            self._write(self._err, f"\r{'':<{self._drawn}}\r")
            self._drawn = 0


class JsonLines(Terminal):
    """The same for a program that reads along: one JSON object a line, ``{"text"}`` or ``{"progress": {label, done,
    total}}``.
    """

    def __init__(self, out: TextIO, err: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(out, err, now)
        self._said, self._told = -EVERY_JSON, ""

    def line(self, text: str) -> None:
        raise_if_lost()
        self._put({"text": text})

    def _tell(self, kind: str, text: str) -> None:
        self._put({"text": f"{kind}: {text}", "kind": kind})

    def progress(self, label: str, done: float, total: int) -> None:
        raise_if_lost()
        now, name = self._now(), label.split(" (")[0]
        if done < total and name == self._told and now - self._said < EVERY_JSON:
            return
        self._said, self._told = now, name
        self._put({"progress": {"label": label, "done": round(done, 2), "total": total}})

    def _put(self, data: dict[str, object]) -> None:
        self._write(self._out, f"{json.dumps(data)}\n")


def _fitted(label: str, share: float, figures: str, width: int) -> str:
    """Label, bar and figures in so many columns: the bar gives way first, then the label; of a
    figure no digit is lost.
    """
    bar = min(BAR, width - len(label) - len(figures) - len(" [] "))
    if bar >= SHORTEST_BAR:
        filled = int(bar * share)
        return f"{label} [{'#' * filled}{'-' * (bar - filled)}] {figures}"
    room = width - len(figures) - 1
    return f"{label[:room]} {figures}" if room > 0 else figures[:width]


class _Pace:
    """How fast one step goes of late. What was already done at its first sign of life took no time; what a step that
    goes on finds done passes at once, and says nothing of the rest.
    """

    def __init__(self, name: str, total: int, first: float, now: float) -> None:
        self.name, self.total, self.first = name, total, first
        self.shown = now
        self._marks = [(now, first)]

    def note(self, done: float, now: float) -> None:
        """How far it is."""
        marks = self._marks
        if done <= marks[-1][1] or now - marks[-1][0] < MARK_SECONDS:
            return
        marks.append((now, done))
        while len(marks) > LATE_MARKS and marks[1][0] <= now - WINDOW_SECONDS and done - marks[1][1] >= WINDOW_UNITS:
            del marks[0]
        if len(marks) > LATE_MARKS:
            quicker = _each(marks[0], marks[-LATE_MARKS]) / _each(marks[-LATE_MARKS], marks[-1])
            if not 1 / OTHER_PACE < quicker < OTHER_PACE:
                del marks[:-LATE_MARKS]

    def text(self, done: float, now: float) -> str:
        began, first = self._marks[0]
        made, passed = done - first, now - began
        if made <= 0 or passed <= 0:
            return ""
        left = round((self.total - done) * passed / made)
        clock = (
            f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}" if left >= 3600 else f"{left // 60}:{left % 60:02d}"
        )
        rate = made / passed
        return f", {rate:.1f}/s, {clock} left" if rate >= 1 else f", {passed / made:.1f} s each, {clock} left"


def _each(mark: tuple[float, float], later: tuple[float, float]) -> float:
    """Seconds for one unit between two marks."""
    return (later[0] - mark[0]) / (later[1] - mark[1])
