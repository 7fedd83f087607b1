"""``twinloop export pngtuber|vrm|sillytavern``: aligned pictures under the names that those programs know."""

from __future__ import annotations

import argparse
from typing import Any

from twinloop.cli.command import Command
from twinloop.cli.export.common import candidates_of, configure_common, prefers_real, side, write
from twinloop.cli.terminal import Terminal


def configure(parser: argparse.ArgumentParser) -> None:
    configure_common(parser, "folder for the package", "DIR")
    parser.add_argument(
        "--size", type=side, default=1024, metavar="PX", help="side of a picture at most (default: 1024)"
    )


def run_pngtuber(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.exporters.sprites import PNGTUBER, export_sprites, talking_slots

    candidates = candidates_of(args, terminal)
    return write(
        args.output,
        export_sprites(PNGTUBER, talking_slots(), candidates, args.size, prefers_real(args)),
        terminal,
    )


def run_vrm(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.exporters.sprites import VRM, VRM_NAMES, export_sprites, named_slots
    from twinloop.registry import facets

    candidates = candidates_of(args, terminal)
    slots = named_slots(VRM, facets.get("expression"))
    return write(args.output, export_sprites(VRM_NAMES, slots, candidates, args.size, prefers_real(args)), terminal)


def run_sillytavern(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.exporters.sprites import SILLYTAVERN, SPRITES, export_sprites, named_slots
    from twinloop.registry import facets

    candidates = candidates_of(args, terminal)
    slots = named_slots(SILLYTAVERN, facets.get("expression"))
    return write(args.output, export_sprites(SPRITES, slots, candidates, args.size, prefers_real(args)), terminal)


COMMANDS = (
    Command(
        "pngtuber", "Four states of a talking head: mouth open or closed, eyes open or shut.", configure, run_pngtuber
    ),
    Command("vrm", "Reference pictures named after VRM 1.0's expressions.", configure, run_vrm),
    Command("sillytavern", "A ZIP of sprites named after emotions.", configure, run_sillytavern),
)
