"""Runs the printed command lines, each in a process of its own, as if they had been typed."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from twinloop.errors import INTERRUPTED
from twinloop.system import shell
from twinloop.system.processes import ENDED_BY_INTERRUPT


class Runner(Protocol):
    """Carries commands out."""

    def run(self, argv: Sequence[str]) -> int:
        """``twinloop ARGV`` on this terminal; its exit code."""
        ...

    def ask(self, argv: Sequence[str]) -> Any:
        """What ``twinloop ARGV --json`` prints, parsed; None when it fails."""
        ...


class ProcessRunner:
    """A `Runner` by processes of this interpreter."""

    def run(self, argv: Sequence[str]) -> int:
        with _left_to_the_child(signal.SIGINT):
            code = subprocess.run([sys.executable, "-m", "twinloop", *argv], check=False).returncode
        return INTERRUPTED if code in ENDED_BY_INTERRUPT else code

    def ask(self, argv: Sequence[str]) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "twinloop", *argv, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        with contextlib.suppress(ValueError):
            answer = json.loads(done.stdout)
            return None if isinstance(answer, dict) and answer.keys() == {"error"} else answer
        return None


def command_line(argv: Sequence[str]) -> str:
    """The command as a person would type it."""
    return f"twinloop {shell.join(argv)}"


@contextmanager
def _left_to_the_child(number: signal.Signals) -> Iterator[None]:
    """Ctrl-C reaches the whole group: the command stops and says how it goes on, the menu stays.

    A handler that does nothing, not "ignore": the latter would be inherited, and the command could not be stopped.
    """
    before = signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(number, before)
