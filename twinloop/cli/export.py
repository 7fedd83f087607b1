"""``twinloop export`` and the three ``export_*.py`` scripts: packages that other programs take."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli import options
from twinloop.cli.command import Command, HelpFormatter, add_command
from twinloop.cli.terminal import Terminal
from twinloop.domain.wording import plural
from twinloop.errors import InputError

if TYPE_CHECKING:
    from twinloop.config import Settings
    from twinloop.exporters.candidates import Candidates
    from twinloop.exporters.package import Package
    from twinloop.stages.observe import Observer

SUMMARY = "Packages for other programs: pictures, datasets with configurations, the LoRA."
FLAGS = {"dataset": "dataset_dir", "models_dir": "models_dir"}
ANGLES = "front,left_30,right_30,profile_left,profile_right"
EXPRESSIONS = "neutral,smile,surprised,angry"
SHEETS = (".jpg", ".jpeg", ".png")
REASONS = 4
"""How many different reasons are told, the most frequent first."""
PREFER_REAL, ANY, REAL_ONLY = "prefer-real", "any", "real-only"


def add_group(subparsers: Any) -> None:
    """``export`` with its own table of subcommands."""
    from twinloop.cli import export_lora, export_sprites, export_trainers

    parser = subparsers.add_parser("export", help=SUMMARY, description=SUMMARY, formatter_class=HelpFormatter)
    table = parser.add_subparsers(title="targets", metavar="TARGET", required=True)
    for command in (*COMMANDS, *export_sprites.COMMANDS, *export_lora.COMMANDS, *export_trainers.COMMANDS):
        add_command(table, command)


def configure_common(parser: argparse.ArgumentParser, output: str, metavar: str) -> None:
    """The flags of every package of pictures."""
    parser.add_argument(
        "--dataset",
        metavar="DIR",
        help="folder of photos, or dataset_iterN.json of a run with its approved images (or dataset_dir of --config)",
    )
    parser.add_argument("--output", type=Path, required=True, metavar=metavar, help=output)
    parser.add_argument(
        "--origin",
        choices=(PREFER_REAL, ANY, REAL_ONLY),
        default=PREFER_REAL,
        help="real photos first among equally good ones, no difference, or no synthetic images (default: prefer-real)",
    )
    options.add_models_dir(parser)
    options.add_facets(parser)
    options.add_config(parser)
    options.add_catalog(parser)


def names(text: str) -> tuple[str, ...]:
    """A comma-separated list, for argparse."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def side(text: str) -> int:
    """Pixels of a picture, for argparse."""
    value = int(text) if text.isdigit() else 0
    if not 256 <= value <= 2048:
        raise argparse.ArgumentTypeError(f"expected pixels from 256 to 2048, got {text!r}")
    return value


def configure_did(parser: argparse.ArgumentParser) -> None:
    configure_common(parser, "folder for the package", "DIR")
    parser.add_argument(
        "--count",
        type=options.positive,
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

    candidates = _look(args, *_ruler(args), terminal)
    return write(args.output, export_did(candidates, args.count, args.origin == PREFER_REAL), terminal)


def run_facesheet(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.exporters.facesheet import SheetName, export_facesheet
    from twinloop.exporters.slots import angle_slots

    if args.output.suffix.lower() not in SHEETS:
        raise InputError(f"--output {args.output}: a face sheet is one picture; name a file that ends in .jpg or .png.")
    slots = angle_slots(args.angles)
    candidates = _look(args, *_ruler(args), terminal)
    name = SheetName(args.output.stem, args.output.suffix)
    package = export_facesheet(slots, candidates, name, args.size, args.origin == PREFER_REAL)
    return write(args.output.parent, package, terminal)


def run_expressions(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.exporters.expressions import export_expressions
    from twinloop.exporters.slots import expression_slots
    from twinloop.registry import facets

    settings, observer = _ruler(args)
    slots = expression_slots(args.expressions, facets.get("expression"))
    candidates = _look(args, settings, observer, terminal)
    return write(args.output, export_expressions(slots, candidates, args.size, args.origin == PREFER_REAL), terminal)


def _ruler(args: argparse.Namespace) -> tuple[Settings, Observer]:
    """Settings, and the detectors that also find gaps and judge images."""
    name = options.dataset_name(args)
    settings = options.settings_from(args, FLAGS, {"person_name": name, "person_trigger": name})
    options.check_outside(args.output, settings.dataset_dir)

    from twinloop.wiring import build_observer

    return settings, build_observer(settings.models_dir, settings.analysis.plugins, settings.analysis.facets)


def _look(args: argparse.Namespace, settings: Settings, observer: Observer, terminal: Terminal) -> Candidates:
    """The dataset as candidates; what the detectors cannot measure is told."""
    from twinloop.exporters.candidates import gather

    with options.open_catalog(args, settings, terminal) as catalog:
        candidates = gather(Path(settings.dataset_dir), observer, catalog, terminal)
    options.say_detectors(observer.pack, terminal)
    for line in observer.pack.missing:
        terminal.warn(line)
    return candidates.real_only() if args.origin == REAL_ONLY else candidates


def looked_at(args: argparse.Namespace, terminal: Terminal) -> Candidates:
    """The dataset as candidates, by the detectors of the command line."""
    settings, observer = _ruler(args)
    return _look(args, settings, observer, terminal)


def prefers_real(args: argparse.Namespace) -> bool:
    """Whether real photos go first."""
    return bool(args.origin == PREFER_REAL)


def write(root: Path, package: Package, terminal: Terminal) -> Any:
    """Write a package of pictures, and tell what is in it."""
    from twinloop.cli.tables import columns
    from twinloop.exporters.package import write_package

    manifest, data = write_package(root, package)
    rows = [("Slot", "File", "From", "Origin", "Yaw", "Expression")]
    for item in data["items"]:
        yaw, shown = item["measured"]["yaw"], item["measured"]["expression"]
        told = "not measured" if yaw is None else f"{yaw:+.0f}"
        rows.append((item["slot"], item["file"], item["source"]["file"], item["origin"], told, shown or "not measured"))
    for line in columns(rows, right=(4,)):
        terminal.line(line)
    for warning in package.warnings:
        terminal.warn(warning)
    missing = f", {len(data['missing'])} missing" if data["missing"] else ""
    terminal.line(f"\n{plural(len(data['items']), 'picture')}{missing}")
    if data["left_out"]:
        terminal.line(f"{left_out_line(data['left_out'], data['images_looked_at'])}\nEach with its reason: {manifest}")
    terminal.line(f"What they are and what speaks against them: {manifest.with_name('README.txt')}")
    written = root / package.files[0].name if "sheet" in data else root
    terminal.line(f"Written: {written} ({len(package.files) + 1} files)")
    return {**data, "warnings": list(package.warnings)}


def left_out_line(left_out: Sequence[Mapping[str, str]], looked_at: int) -> str:
    """How many photos are not in a package, and why, without the figures and names of each."""
    from twinloop.stages.select import kind_of_reason

    reasons = Counter(kind_of_reason(item["reason"]) for item in left_out)
    told = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common(REASONS))
    return f"Left out: {len(left_out)} of {plural(looked_at, 'photo')} ({told})"


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
