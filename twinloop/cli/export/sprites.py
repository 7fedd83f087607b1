"""``twinloop export pngtuber|vrm|sillytavern``: aligned pictures under the names that those programs know."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from twinloop.cli.command import Command
from twinloop.cli.export.common import candidates_of, configure_common, prefers_real, side, write
from twinloop.cli.terminal import Terminal


def configure(parser: argparse.ArgumentParser) -> None:
    configure_common(parser, "folder for the package", "DIR")
    parser.add_argument(
        "--size", type=side, default=1024, metavar="PX", help="side of a picture at most (default: 1024)"
    )


def _run(name: str, args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.exporters.sprites import TARGETS, export_sprites, slots_of
    from twinloop.registry import facets

    target, candidates = TARGETS[name], candidates_of(args, terminal)
    slots = slots_of(target, facets.get("expression"))
    return write(args.output, export_sprites(target, slots, candidates, args.size, prefers_real(args)), terminal)


COMMANDS = (
    Command(
        "pngtuber",
        "Four states of a talking head: mouth open or closed, eyes open or shut.",
        configure,
        partial(_run, "pngtuber"),
    ),
    Command("vrm", "Reference pictures named after VRM 1.0's expressions.", configure, partial(_run, "vrm")),
    Command("sillytavern", "A ZIP of sprites named after emotions.", configure, partial(_run, "sillytavern")),
)
