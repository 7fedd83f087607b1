"""``twinloop export`` and its table of targets: packages that other programs take."""

from __future__ import annotations

from typing import Any

from twinloop.cli.command import Command, HelpFormatter, add_command
from twinloop.cli.export import lora, pictures, sprites, trainers

SUMMARY = "Packages for other programs: pictures, datasets with configurations, the LoRA."
COMMANDS: tuple[Command, ...] = (*pictures.COMMANDS, *sprites.COMMANDS, *lora.COMMANDS, *trainers.COMMANDS)


def add_group(subparsers: Any) -> None:
    """Make ``export`` and its targets known."""
    parser = subparsers.add_parser("export", help=SUMMARY, description=SUMMARY, formatter_class=HelpFormatter)
    table = parser.add_subparsers(title="targets", metavar="TARGET", required=True)
    for command in COMMANDS:
        add_command(table, command)
