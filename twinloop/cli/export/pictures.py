"""``twinloop export did|facesheet|expressions``, also the three ``export_*.py`` scripts: packages of pictures."""

from __future__ import annotations

import argparse
from typing import Any

from twinloop.cli.argument_types import positive
from twinloop.cli.command import Command
from twinloop.cli.export.common import candidates_of, configure_common, look_at, names, prefers_real, ruler, side, write
from twinloop.cli.terminal import Terminal
from twinloop.errors import InputError

ANGLES = "front,left_30,right_30,profile_left,profile_right"
EXPRESSIONS = "neutral,smile,surprised,angry"
SHEETS = (".jpg", ".jpeg", ".png")


def configure_did(parser: argparse.ArgumentParser) -> None:
    configure_common(parser, "folder for the package", "DIR")
    parser.add_argument(
        "--count",
        type=positive,
        default=3,
        metavar="N",
        help="pictures: the best and its alternatives (default: 3)",
    )


def configure_facesheet(parser: argparse.ArgumentParser) -> None:
    configure_common(
        parser, "the sheet (.jpg or .png); the single views go into the folder <name>_views beside it", "FILE"
    )
    parser.add_argument(
        "--angles",
        type=names,
        default=ANGLES,
        metavar="LIST",
        help="views, comma-separated, left and right as the viewer sees it: front, left_30, right_30, three_quarter, "
        f"three_quarter_left, three_quarter_right, profile, profile_left, profile_right (default: {ANGLES})",
    )
    parser.add_argument("--size", type=side, default=768, metavar="PX", help="side of a view at most (default: 768)")


def configure_expressions(parser: argparse.ArgumentParser) -> None:
    configure_common(parser, "folder for the package", "DIR")
    parser.add_argument(
        "--expressions",
        type=names,
        default=EXPRESSIONS,
        metavar="LIST",
        help=f"values of the facet 'expression', comma-separated (twinloop facets lists them; default: {EXPRESSIONS})",
    )
    parser.add_argument(
        "--size", type=side, default=1024, metavar="PX", help="side of a picture at most (default: 1024)"
    )


def run_did(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.exporters.did import export_did

    candidates = candidates_of(args, terminal)
    return write(args.output, export_did(candidates, args.count, prefers_real(args)), terminal)


def run_facesheet(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.exporters.facesheet import SheetName, export_facesheet
    from twinloop.exporters.slots import angle_slots

    if args.output.suffix.lower() not in SHEETS:
        raise InputError(f"--output {args.output}: a face sheet is one picture; name a file that ends in .jpg or .png.")
    slots = angle_slots(args.angles)
    candidates = candidates_of(args, terminal)
    name = SheetName(args.output.stem, args.output.suffix)
    package = export_facesheet(slots, candidates, name, args.size, prefers_real(args))
    return write(args.output.parent, package, terminal)


def run_expressions(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.exporters.expressions import export_expressions
    from twinloop.exporters.slots import expression_slots
    from twinloop.registry import facets

    settings, observer = ruler(args)
    slots = expression_slots(args.expressions, facets.get("expression"))
    candidates = look_at(args, settings, observer, terminal)
    return write(args.output, export_expressions(slots, candidates, args.size, prefers_real(args)), terminal)


COMMANDS = (
    Command("did", "Presenter pictures and request bodies for D-ID talking avatars.", configure_did, run_did),
    Command(
        "facesheet",
        "One labelled sheet of a head's views: reference art, as for MetaHuman.",
        configure_facesheet,
        run_facesheet,
    ),
    Command(
        "expressions",
        "Aligned pictures and exp3.json drafts for drawing a Live2D model.",
        configure_expressions,
        run_expressions,
    ),
)
DID, FACESHEET, EXPRESSION_SET = COMMANDS
