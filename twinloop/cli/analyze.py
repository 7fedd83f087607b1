"""``twinloop analyze`` and ``gap_analysis.py``: what a dataset lacks, counted."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli import options
from twinloop.cli.argument_types import positive
from twinloop.cli.command import Command
from twinloop.cli.settings_from_flags import add_setting, settings_from, wanted_shares
from twinloop.cli.terminal import Terminal
from twinloop.domain.file_names import round_in
from twinloop.domain.wording import plural
from twinloop.errors import InputError

if TYPE_CHECKING:
    from twinloop.manual import Photos
    from twinloop.stages.observe import Observer


def configure(parser: argparse.ArgumentParser) -> None:
    add_setting(
        parser,
        "dataset",
        field="dataset_dir",
        nargs="?",
        metavar="DATASET",
        help="folder of photos (or dataset_dir of --config)",
    )
    options.add_models_dir(parser)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("gaps.json"),
        metavar="FILE",
        help="where to write the gaps (default: gaps.json)",
    )
    parser.add_argument(
        "--observations", type=Path, metavar="FILE", help="also write all that was measured, one JSON line per image"
    )
    options.add_subject(parser)
    options.add_keep_all(parser, "--all")
    add_setting(
        parser,
        "--shares",
        section="analysis",
        action="append",
        metavar="FACET.VALUE=SHARE",
        help="wanted share, as in face_angle.profile=0.25, over those of --config; may be given again",
    )
    parser.add_argument(
        "--targets", type=Path, metavar="FILE", help="JSON file of wanted shares: facet -> value -> share"
    )
    parser.add_argument(
        "--iteration",
        type=positive,
        metavar="N",
        help="number of the round (default: that of an --output like gaps_2.json or gaps_iter2.json, else 1)",
    )
    options.add_facets(parser)
    options.add_config(parser)
    options.add_catalog(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    if args.dataset is None and args.config is None:
        raise InputError("Which folder? Name one: gap_analysis.py DATASET, or give --config bootstrap_config.json.")
    args.shares = wanted_shares(args.shares, args.targets)
    name = Path(args.dataset or ".").resolve().name or "person"
    settings = settings_from(args, {"person_name": name, "person_trigger": name})

    from twinloop import manual, wiring
    from twinloop.cli.tables import analysis_lines
    from twinloop.store.atomic import write_json
    from twinloop.store.named_output import json_output

    output = json_output(args.output)
    observations = json_output(args.observations) if args.observations is not None else None
    observer = wiring.observer_of(settings)
    with options.open_catalog(args, settings, terminal) as catalog:
        photos = manual.look_at(Path(settings.dataset_dir), settings, observer, catalog, terminal)
    options.say_detectors(observer.pack, terminal)
    iteration = args.iteration or round_in(args.output) or 1
    result, data = manual.find_gaps(photos, settings, observer, iteration)
    for line in analysis_lines(result, data):
        terminal.line(line)
    write_json(output, data)
    if observations is not None:
        _write_observations(observations, photos, observer)
    terminal.line(f"\n{plural(len(result.gaps), 'gap')}. Written: {args.output}")
    return data


def _write_observations(path: Path, photos: Photos, observer: Observer) -> None:
    """One JSON line per image, in the order of the folder; unreadable ones with their error."""
    from twinloop.stages.observe import observation_line
    from twinloop.store.atomic import write_bytes
    from twinloop.store.run.workspace import shown_path

    lines = [
        json.dumps(observation_line(item, observer.facets, shown_path(item.path)), allow_nan=False)
        for item in photos.found
    ]
    write_bytes(path, ("\n".join(lines) + "\n").encode())


COMMAND = Command("analyze", "Find what a dataset lacks: facet values under their target share.", configure, run)
