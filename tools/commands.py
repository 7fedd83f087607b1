"""Write docs/commands.md anew: every command and script with its --help. A test compares.

.venv/bin/python tools/commands.py > docs/commands.md
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from twinloop.cli.command import script_parser
from twinloop.cli.commandline import build_parser
from twinloop.cli.scripts import SCRIPTS

HEAD = """# Commands

Written by `tools/commands.py` from the program itself; do not edit by hand.

The scripts in the root folder and the subcommands of `twinloop` are the same code. Results and statements go to
stdout, warnings, errors and progress to stderr. With `--json` stdout holds one JSON value and nothing else: the
result, or [`error`](formats.md#--json) where the command failed.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a defect of the program |
| 2 | something that the user can correct, as the message says; `doctor` or `models verify` found something wrong |
| 3 | a round waits until a person has looked at its images; then the same command goes on |
| 130 | interrupted (Ctrl-C); the same command goes on where it was |
| 141 | whoever read the output stopped reading |

[Why so few](decisions/0006-exit-codes.md). `inspect` has codes of its own: 0 safe, 1 dangerous, 2 unreadable or not a
model, 3 unknown names, 64 a wrong command line.

## In scripts

A message that cannot be written to stderr (a full disk, a closed pipe) changes neither the work nor the exit code. With
`TWINLOOP_PROGRESS=json` each message and each sign of progress is a line of JSON: `text`, or `progress` with `label`,
`done` and `total`. `TWINLOOP_CACHE` is the folder of what is kept between runs ([which](model-files.md)); `off` keeps
nothing. `SOURCE_DATE_EPOCH` (seconds since 1970) takes the place of every time of day, so that the same command writes
the same bytes. A command that a script starts with `&` ignores SIGINT, as the shell arranges it: end it with SIGTERM,
or set `TWINLOOP_PROGRESS=json`, with which it heeds SIGINT. Either way the same command goes on where it was.
"""


def document() -> str:
    """The whole page."""
    parts = [HEAD, "## Scripts\n"]
    parts += [_section(name, script_parser(command, name)) for name, command in SCRIPTS.items()]
    parts.append("## twinloop\n")
    parts += [_section(parser.prog, parser) for parser in _tree(build_parser())]
    return "\n".join(parts)


def _section(name: str, parser: argparse.ArgumentParser) -> str:
    return f"### {name}\n\n```\n{parser.format_help().rstrip()}\n```\n"


def _tree(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from _tree(child)


if __name__ == "__main__":
    print(document(), end="")
