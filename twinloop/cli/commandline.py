"""The commands of ``twinloop``, and its whole command line."""

from __future__ import annotations

import argparse
import sys

from twinloop import __version__
from twinloop.cli import (
    analyze,
    compare,
    demo,
    doctor,
    export,
    facets,
    generate,
    init,
    inspect_models,
    lora,
    masks,
    menu,
    models,
    nano,
    report,
    review,
    run,
    train,
    ui,
    validate,
    vault,
)
from twinloop.cli.command import USAGE, Command, HelpFormatter, Parser, add_command, add_commands
from twinloop.system.streams import tell

COMMANDS: tuple[Command, ...] = (
    menu.COMMAND,
    analyze.COMMAND,
    generate.COMMAND,
    compare.COMMAND,
    validate.COMMAND,
    masks.COMMAND,
    train.COMMAND,
    run.COMMAND,
    ui.COMMAND,
    review.COMMAND,
    report.COMMAND,
    demo.COMMAND,
    init.COMMAND,
    facets.COMMAND,
    doctor.COMMAND,
    inspect_models.COMMAND,
)


def ask_for_a_command(parser: argparse.ArgumentParser) -> int:
    """Say what there is, and where somebody new begins; returns the exit code of a command line without a command."""
    parser.print_help(sys.stderr)
    tell(
        sys.stderr, "\nName a command. New here? A menu asks what you want to do: twinloop menu, or python beaver.py\n"
    )
    return USAGE


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = Parser(
        prog="twinloop",
        formatter_class=HelpFormatter,
        description=(
            "From a messy folder of photos of one person to a character LoRA that gets better in measured rounds."
        ),
        epilog="Every command has --help.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        add_command(subparsers, command)
    add_commands(subparsers, "vault", vault.SUMMARY, vault.COMMANDS)
    add_commands(subparsers, "export", export.SUMMARY, export.COMMANDS, "target")
    add_commands(subparsers, "lora", lora.SUMMARY, lora.COMMANDS, "action")
    add_commands(subparsers, "nano", nano.SUMMARY, nano.COMMANDS)
    add_commands(subparsers, "models", models.SUMMARY, models.COMMANDS)
    return parser
