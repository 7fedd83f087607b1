"""The ways in: ``twinloop``, ``python -m twinloop``, and the scripts in the root folder.

All that takes time is imported below the guard, so that Ctrl-C is one line and exit code 130 from the first moment on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from twinloop.errors import INTERRUPTED


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of ``twinloop`` and return its exit code."""

    if os.environ.get("TWINLOOP_PROGRESS") == "json":
        from twinloop.system.processes import heed_interruptions

        heed_interruptions()  # that is how the page stops a command

    def run() -> int:
        from twinloop.cli.command import execute
        from twinloop.cli.commandline import ask_for_a_command, build_parser
        from twinloop.system import shell

        parser, words = build_parser(), shell.expanded(sys.argv[1:]) if argv is None else argv
        return execute(parser, words) if words else ask_for_a_command(parser)

    return _guarded(run, sys.argv[1:] if argv is None else argv)


def _fill_streams() -> None:
    """Where whoever started this closed stdin, stdout or stderr, have one that leads nowhere in its place.

    Else the next file that is opened, a database say, gets its number, and what any library prints.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  (for as long as the process lives)


def script(name: str) -> int:
    """Run one of the scripts in the root folder, by its file name, and return its exit code."""

    def run() -> int:
        from twinloop.cli.command import execute, script_parser
        from twinloop.cli.scripts import SCRIPTS
        from twinloop.system import shell

        return execute(script_parser(SCRIPTS[name], name), shell.expanded(sys.argv[1:]))

    return _guarded(run, sys.argv[1:])


_INTERRUPTED_JSON = '{"error": {"kind": "Interrupted", "message": "interrupted", "code": 130}}\n'


def _guarded(run: Callable[[], int], words: Sequence[str] = ()) -> int:
    """Before a command works, an interruption has nothing to keep; `execute` tells the later ones."""
    _fill_streams()
    try:
        from twinloop.system.interruption import noted

        with noted():
            return run()
    except KeyboardInterrupt:
        from twinloop.system.streams import tell

        tell(sys.stderr, "error: interrupted\n")
        if "--json" in words:
            tell(sys.stdout, _INTERRUPTED_JSON)
        return INTERRUPTED
    finally:
        from twinloop.system.streams import give_up_if_refused

        give_up_if_refused(
            sys.stderr
        )  # what argparse writes to it, say: Python's last flush would change the exit code
