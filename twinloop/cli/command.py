"""What a command is, and how one runs: parse, work, print, exit code."""

from __future__ import annotations

import argparse
import difflib
import errno
import json
import math
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from twinloop import __version__
from twinloop.cli.terminal import JsonLines, Terminal
from twinloop.domain.wording import harmless
from twinloop.errors import (
    DISK_FULL,
    FREE_SPACE,
    INTERRUPTED,
    NOT_PERMITTED,
    InputError,
    MissingExtra,
    StorageError,
    TwinLoopError,
)
from twinloop.system import interruption, shell
from twinloop.system.streams import give_up_if_refused

Run = Callable[[argparse.Namespace, Terminal], Any]
"""Does the work of a command; what it returns is what ``--json`` prints."""

BROKEN_PIPE = 141
DEFECT = 1
USAGE = 2


@dataclass(frozen=True)
class Finished:
    """What `Run` returns when the exit code says what was found. ``result`` is what ``--json`` prints."""

    result: Any
    exit_code: int


@dataclass(frozen=True)
class Command:
    """One command: its name, one line about it, its arguments, and what it does.

    ``usage_code`` is the exit code of a wrong command line, for commands whose other codes say what was found.
    """

    name: str
    summary: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Run
    usage_code: int = USAGE


def add_command(subparsers: Any, command: Command) -> None:
    """Make a command known to a table of subcommands."""
    parser = subparsers.add_parser(
        command.name, help=command.summary, description=command.summary, formatter_class=HelpFormatter
    )
    complete(parser, command)


def add_commands(subparsers: Any, name: str, summary: str, commands: Iterable[Command], kind: str = "command") -> None:
    """Make commands known below a name, in a table of their own."""
    parser = subparsers.add_parser(name, help=summary, description=summary, formatter_class=HelpFormatter)
    table = parser.add_subparsers(title=f"{kind}s", metavar=kind.upper(), required=True)
    for command in commands:
        add_command(table, command)


def complete(parser: argparse.ArgumentParser, command: Command) -> None:
    """The command's own arguments and the ones that every command has."""
    command.configure(parser)
    common = parser.add_argument_group("output")
    common.add_argument("--json", action="store_true", help="print the result as JSON on stdout, all else on stderr")
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=command.run, parser=parser, spent=())
    if isinstance(parser, Parser):
        parser.usage_code = command.usage_code


_NEAR_FLAG = 0.7
"""How alike a flag must be to be offered, as difflib counts it."""
_NEAR_COMMAND = 0.6
"""The same of a command: with one letter wrong in three, it is two thirds."""


class _WrongCommandLine(SystemExit):
    """What ends the program because of its command line, with what was said of it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code)
        self.exit_code, self.message = code, message


class Parser(argparse.ArgumentParser):
    """A parser whose complaints end with the exit code of its command."""

    usage_code = USAGE

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        # not in error(): how a message lists the choices differs between versions of Python
        if action.nargs == argparse.PARSER and action.choices is not None and value not in action.choices:
            kind = str(action.metavar).lower()
            self._refuse(f"unknown {kind} '{value}'", [value], list(action.choices), _NEAR_COMMAND)
        super()._check_value(action, value)

    def error(self, message: str) -> NoReturn:
        if message.startswith("ambiguous option"):
            self._refuse(message, (), ())
        self.print_usage(sys.stderr)
        self._end(message)

    def refuse_unknown(self, words: Sequence[str]) -> NoReturn:
        """End because of words that are no flags of this command, nor values of any."""
        flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
        asked = [word.partition("=")[0] for word in words if word.startswith("-")]
        self._refuse(f"unrecognized arguments: {' '.join(words)}", asked, flags)

    def _refuse(self, message: str, asked: Sequence[str], known: Sequence[str], alike: float = _NEAR_FLAG) -> NoReturn:
        """In one line, with what comes near: the usage of a command with many flags would push it off the screen."""
        near = dict.fromkeys(match for word in asked for match in difflib.get_close_matches(word, known, 2, alike))
        meant = f"; did you mean {' or '.join(near)}?" if near else "."
        self._end(f"{message}{meant} {self.prog} --help lists all.")

    def _end(self, message: str) -> NoReturn:
        self._print_message(harmless(f"{self.prog}: error: {message}\n"), sys.stderr)
        raise _WrongCommandLine(self.usage_code, message)


WIDTH = 110


class HelpFormatter(argparse.HelpFormatter):
    """Help of one width, so that documentation and screens show the same; narrower on a narrow terminal."""

    def __init__(self, prog: str) -> None:
        width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns - 2) if sys.stdout.isatty() else WIDTH
        super().__init__(prog, max_help_position=30, width=width)


def script_parser(command: Command, name: str) -> argparse.ArgumentParser:
    """The command line of one command as a script of its own."""
    parser = Parser(prog=name, description=command.summary, formatter_class=HelpFormatter)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    complete(parser, command)
    return parser


def execute(parser: argparse.ArgumentParser, argv: Sequence[str]) -> int:
    """Parse and run; every error becomes one clear message and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a sign that a terminal cannot show can still be told
    args = _parsed(parser, argv)
    kind = JsonLines if os.environ.get("TWINLOOP_PROGRESS") == "json" else Terminal
    terminal = kind(sys.stderr if args.json else sys.stdout, sys.stderr)
    answered = not args.json
    try:
        result, code = args.run(args, terminal), 0
        if isinstance(result, Finished):
            result, code = result.result, result.exit_code
        interruption.raise_if_lost()
        terminal.clear()
        if args.json:
            answer = _json(result)
            answered = True
            print(answer)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the border: whatever happens is told, and becomes an exit code
        failure = _failed(error, terminal, args.debug, _next_call(parser, args, argv))
        if not answered and failure.kind:
            _answer(failure)
        return failure.code
    return code


def _parsed(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    try:
        args, unknown = parser.parse_known_args(argv)
        if unknown:  # told by the subcommand, which knows its flags
            args.parser.refuse_unknown(unknown)
    except _WrongCommandLine as wrong:
        if "--json" in argv:
            _answer(_Failure(InputError.__name__, wrong.message, wrong.exit_code))
        raise
    return args


def spend(args: argparse.Namespace, flag: str) -> None:
    """Note that a flag has had its effect: the command line that goes on is the one without it."""
    args.spent = (*args.spent, flag)


@dataclass(frozen=True)
class _NextCall:
    """What to type next.

    ``spent``: flags of the command line that are left out of it, because they would begin anew.
    """

    line: str
    spent: tuple[str, ...]

    @property
    def advice(self) -> str:
        """A further line for errors, where the same command would not do; else ""."""
        if not self.spent:
            return ""
        return f"\n{', '.join(self.spent)} has been done; without it the command goes on: {self.line}"


def _next_call(parser: argparse.ArgumentParser, args: argparse.Namespace, argv: Sequence[str]) -> _NextCall:
    # argparse takes the beginning of a flag for the flag
    left = [item for item in argv if not (len(item) > 2 and any(flag.startswith(item) for flag in args.spent))]
    return _NextCall(f"{typed(parser)} {shell.join(left)}", args.spent)


def typed(parser: argparse.ArgumentParser) -> str:
    """The words before the arguments that start it: a script needs its interpreter and its folder."""
    start = Path(sys.argv[0])
    if start.name == parser.prog and start.suffix == ".py":
        return f"python {shell.quote(sys.argv[0])}"
    return parser.prog


def _json(value: Any) -> str:
    return json.dumps(_finite(value), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    """JSON has no word for "not a number": null stands for it."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Failure(NamedTuple):
    """Why a command ended: a class of `twinloop.errors` or another word, what is said of it, and the exit code.

    ``kind`` "" = whoever read the output stopped reading.
    """

    kind: str
    message: str
    code: int


def _answer(failure: _Failure) -> None:
    """What ``--json`` prints in place of a result."""
    try:
        print(_json({"error": failure._asdict()}), flush=True)
    except OSError:
        give_up_if_refused(sys.stdout)


def _failed(error: BaseException, terminal: Terminal, debug: bool, call: _NextCall) -> _Failure:
    """Say why the command ended."""
    if isinstance(error, OSError):
        # when stdout itself cannot be written, the interpreter's last flush must not complain about it once more
        give_up_if_refused(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return _Failure("", "", BROKEN_PIPE)
    if isinstance(error, SystemExit | GeneratorExit):
        raise error
    failure = _told(error, call)
    try:
        if debug:
            terminal.clear()
            print(harmless("".join(traceback.format_exception(error))), end="", file=sys.stderr)
        terminal.error(failure.message)
    except OSError:
        for stream in (sys.stdout, sys.stderr):
            give_up_if_refused(stream)
    return failure


def _told(error: BaseException, call: _NextCall) -> _Failure:
    if isinstance(error, KeyboardInterrupt) or interruption.came():
        way = f"without {', '.join(call.spent)} the command" if call.spent else "the same command"
        message = f"interrupted. What is finished is kept; {way} goes on: {call.line}"
        return _Failure("Interrupted", message, INTERRUPTED)
    if isinstance(error, TwinLoopError):
        return _Failure(type(error).__name__, f"{error}{call.advice}", error.exit_code)
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.split(".")[0] != "twinloop":
        # the scripts start straight after a clone, before anything is installed
        message = (
            f"the library '{error.name}' is not installed for {sys.executable}.\n"
            "In the project's folder: make install, then .venv/bin/python; or: pip install -c constraints.txt -e ."
        )
        return _Failure(MissingExtra.__name__, message, USAGE)
    if isinstance(error, OSError):
        kind = InputError if error.errno in _NAMED_WRONG else StorageError
        return _Failure(kind.__name__, f"{_storage_text(error)}{call.advice}", USAGE)
    message = (
        f"{type(error).__name__}: {error}\nThis is a defect of the program, not of your input. Run again with --debug"
        " and report what it shows."
    )
    return _Failure("Defect", message, DEFECT)


_NAMED_WRONG = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


def _storage_text(error: OSError) -> str:
    place = f" ({error.filename})" if error.filename else ""
    if error.errno in DISK_FULL:
        return f"the disk is full{place}. {FREE_SPACE}"
    if error.errno in NOT_PERMITTED:
        return f"no permission{place}. Choose another folder, or change the permissions."
    if error.errno == errno.EISDIR and error.filename:
        return f"{error.filename} is a folder, and a file belongs there. Move it away, or name another file."
    if error.errno in _NAMED_WRONG:
        return f"{error.strerror}{place}. Name another file or folder."
    return f"{error.strerror or error}{place}"
