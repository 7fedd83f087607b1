"""What the packages of pictures share: flags, the dataset as candidates, and the package on the disk."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli import options
from twinloop.cli.settings_from_flags import add_setting, settings_from
from twinloop.cli.terminal import Terminal
from twinloop.domain.wording import plural

if TYPE_CHECKING:
    from twinloop.config import Settings
    from twinloop.exporters.candidates import Candidates
    from twinloop.exporters.package import Package
    from twinloop.stages.observe import Observer

REASONS = 4
"""How many different reasons are told, the most frequent first."""
PREFER_REAL, ANY, REAL_ONLY = "prefer-real", "any", "real-only"


def configure_common(parser: argparse.ArgumentParser, output: str, metavar: str) -> None:
    """The flags of every package of pictures."""
    add_setting(
        parser,
        "--dataset",
        field="dataset_dir",
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


def candidates_of(args: argparse.Namespace, terminal: Terminal) -> Candidates:
    """The dataset as candidates, by the detectors of the command line."""
    settings, observer = ruler(args)
    return look_at(args, settings, observer, terminal)


def ruler(args: argparse.Namespace) -> tuple[Settings, Observer]:
    """Settings, and the detectors that also find gaps and judge images."""
    name = options.dataset_name(args)
    settings = settings_from(args, {"person_name": name, "person_trigger": name})
    options.check_outside(args.output, settings.dataset_dir)

    from twinloop.wiring import observer_of

    return settings, observer_of(settings)


def look_at(args: argparse.Namespace, settings: Settings, observer: Observer, terminal: Terminal) -> Candidates:
    """The dataset as candidates; what the detectors cannot measure is told."""
    from twinloop.exporters.candidates import gather

    with options.open_catalog(args, settings, terminal) as catalog:
        candidates = gather(Path(settings.dataset_dir), observer, catalog, terminal)
    options.say_detectors(observer.pack, terminal)
    for line in observer.pack.missing:
        terminal.warn(line)
    return candidates.real_only() if args.origin == REAL_ONLY else candidates


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
    terminal.line(f"Where each picture comes from, and its weak points: {manifest.with_name('README.txt')}")
    written = root / package.files[0].name if "sheet" in data else root
    terminal.line(f"Written: {written} ({len(package.files) + 1} files)")
    return {**data, "warnings": list(package.warnings)}


def left_out_line(left_out: Sequence[Mapping[str, str]], looked_at: int) -> str:
    """How many photos are not in a package, and why, without the figures and names of each."""
    from twinloop.stages.select import kind_of_reason

    reasons = Counter(kind_of_reason(item["reason"]) for item in left_out)
    told = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common(REASONS))
    return f"Left out: {len(left_out)} of {plural(looked_at, 'photo')} ({told})"
