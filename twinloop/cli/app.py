"""The ways in: ``twinloop``, ``python -m twinloop``, and the scripts in the root folder.

All that takes time is imported below the guard, so that Ctrl-C is one line and exit code 130 from the first moment on.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence

from twinloop.errors import INTERRUPTED


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of ``twinloop`` and return its exit code."""

    if os.environ.get("TWINLOOP_PROGRESS") == "json":
        # the page asks to stop by SIGINT, also where whoever started it in the background had that ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def run() -> int:
        from twinloop.cli.command import execute
        from twinloop.cli.commandline import build_parser

        return execute(build_parser(), sys.argv[1:] if argv is None else argv)

    return _guarded(run)


def script(name: str) -> int:
    """Run one of the scripts in the root folder, by its file name, and return its exit code."""

    def run() -> int:
        from twinloop.cli.command import execute, script_parser
        from twinloop.cli.scripts import SCRIPTS

        return execute(script_parser(SCRIPTS[name], name), sys.argv[1:])

    return _guarded(run)


def _guarded(run: Callable[[], int]) -> int:
    """Before a command works, an interruption has nothing to keep; `execute` tells the later ones."""
    try:
        return run()
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        return INTERRUPTED
