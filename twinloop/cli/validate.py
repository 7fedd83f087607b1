"""``twinloop validate`` and ``validate_synthetic.py``: keep only the images that are provably right."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli import options
from twinloop.cli.command import Command
from twinloop.cli.settings_from_flags import add_setting, settings_from
from twinloop.cli.terminal import Terminal
from twinloop.domain.choices import SHARPNESS_RULERS
from twinloop.domain.wording import plural, some
from twinloop.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twinloop.config import Settings
    from twinloop.domain.verdicts import Verdict
    from twinloop.stages.validate import Judged


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of generated images")
    options.add_models_dir(parser)
    options.add_subject(parser)
    _add_outputs(parser)
    _add_reference(parser)
    _add_limits(parser)
    options.add_facets(parser)
    options.add_config(parser)
    options.add_catalog(parser)


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    """Where images of each outcome go, and the record of all."""
    parser.add_argument("--approved", type=Path, metavar="DIR", help="copy approved images here")
    parser.add_argument("--rejected", type=Path, metavar="DIR", help="copy rejected images here")
    parser.add_argument(
        "--unsure", type=Path, metavar="DIR", help="copy undecided images here (default: beside --rejected)"
    )
    parser.add_argument(
        "--verdicts",
        type=Path,
        metavar="FILE",
        help="where to write all check results (default: verdicts.json in --rejected)",
    )


def _add_reference(parser: argparse.ArgumentParser) -> None:
    """The real photos that images are compared with."""
    photos = parser.add_mutually_exclusive_group()
    photos.add_argument(
        "--reference",
        type=Path,
        metavar="DIR",
        help="real photos: identity limits are learned from them (default: those that the images' record names)",
    )
    photos.add_argument("--no-reference", action="store_true", help="judge without real photos: no identity check")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group("limits")
    _add_look_limits(limits)
    _add_person_limits(limits)


def _add_look_limits(limits: argparse._ArgumentGroup) -> None:
    """Of sharpness and brightness."""
    add = partial(add_setting, limits, section="validation")
    add(
        "--sharpness",
        choices=SHARPNESS_RULERS,
        help=(
            "what is measured: the face against the real photos', or the whole image against --blur-threshold"
            " (default: face with real photos, else image)"
        ),
    )
    add(
        "--blur-threshold",
        type=float,
        metavar="X",
        help="lowest variance of the Laplacian; less is blurred (default: 100)",
    )
    add(
        "--sharpness-share",
        type=float,
        metavar="X",
        help=(
            "lowest sharpness of a face, as a share of the real photos' (default: the detectors' own, which is 0.3;"
            " with nano 0.03)"
        ),
    )
    add("--min-brightness", type=float, metavar="X", help="lowest mean grey, 0-255 (default: 30)")
    add("--max-brightness", type=float, metavar="X", help="highest mean grey, 0-255 (default: 225)")


def _add_person_limits(limits: argparse._ArgumentGroup) -> None:
    """Of the face, who it is, and whether the image is a copy."""
    add = partial(add_setting, limits, section="validation")
    add("--min-face-confidence", type=float, metavar="X", help="lowest score of the face detector, 0-1 (default: 0.5)")
    add(
        "--min-face-quality",
        type=float,
        metavar="X",
        help="lowest face quality, 0-1, where it is measured (default: learned from the real photos; with nano 0.7)",
    )
    add(
        "--identity-tolerance",
        type=float,
        metavar="X",
        help=(
            "how many standard deviations a face's similarity may lie below the real photos', or must lie above"
            " strangers' where that is less (default: 2.5)"
        ),
    )
    add(
        "--novelty-distance",
        type=int,
        metavar="BITS",
        help="perceptual-hash distance up to which an image counts as a copy, of 64 bits (default: 6)",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop import manual, wiring
    from twinloop.cli.tables import validation_lines
    from twinloop.stages.validate import reason_lines, tally
    from twinloop.store.atomic import write_json
    from twinloop.store.named_output import json_output

    places = _check_apart(args)
    record = json_output(args.verdicts or (args.rejected or args.folder) / "verdicts.json")
    reference = _reference(args)
    settings = _settings(args, reference)
    observer = wiring.observer_of(settings)
    if reference is None and args.config is not None and not args.no_reference:
        reference = Path(settings.dataset_dir)
    with options.open_catalog(args, settings, terminal) as catalog:
        photos = manual.look_at(reference, settings, observer, catalog, terminal) if reference is not None else None
        judged, data = manual.judge_folder(args.folder, photos, settings, observer, catalog, terminal, places)
    options.say_detectors(observer.pack, terminal)
    for line in observer.pack.missing:
        terminal.warn(line)
    _say_reference(reference, terminal)
    _sort(args, judged)
    write_json(record, data)
    verdicts = [item.verdict for item in judged]
    for line in (*validation_lines(tally(verdicts)), "", *reason_lines(verdicts)):
        terminal.line(line)
    _say_unsure(args, verdicts, terminal)
    if args.approved is None and args.rejected is None and args.unsure is None:
        terminal.line("Nothing was copied: name folders with --approved DIR and --rejected DIR.")
    terminal.line(f"All checks of {plural(len(verdicts), 'image')}: {record}")
    return data


def _check_apart(args: argparse.Namespace) -> list[Path]:
    """The folders that images are copied to. Raises InputError where two outcomes would share one."""
    named: dict[Path, str] = {}
    for flag in ("approved", "rejected", "unsure"):
        folder = _unsure(args) if flag == "unsure" else getattr(args, flag)
        if folder is None:
            continue
        other = named.setdefault(folder.resolve(), flag)
        if other != flag:
            raise InputError(
                f"{folder} would take {other} and {flag} images alike. Name a folder of its own for each: --{other} and"
                f" --{flag}."
            )
    return list(named)


def _reference(args: argparse.Namespace) -> Path | None:
    from twinloop.manual import recorded_dataset

    if args.no_reference or args.reference is not None:
        return None if args.no_reference else Path(args.reference)
    return None if args.config is not None else recorded_dataset(args.folder)


def _settings(args: argparse.Namespace, reference: Path | None) -> Settings:
    """Without a configuration the sharpness ruler is the one that can be used: the face crop needs real photos."""
    defaults: dict[str, Any] = {
        "person_name": "person",
        "person_trigger": "person",
        "dataset_dir": str(reference or "."),
    }
    if args.config is None:
        face = reference is not None and args.blur_threshold is None
        defaults["validation.sharpness"] = "face" if face else "image"
    elif args.blur_threshold is not None and args.sharpness is None:
        args.sharpness = "image"
    return settings_from(args, defaults)


def _say_reference(reference: Path | None, terminal: Terminal) -> None:
    if reference is None:
        terminal.warn("identity not checked: no real photos to compare with (--reference DIR)")
    else:
        terminal.line(f"Compared with the real photos in {reference}")


def _say_unsure(args: argparse.Namespace, verdicts: Sequence[Verdict], terminal: Terminal) -> None:
    """Where the undecided ones are, and which of them nothing says of what they were made for."""
    from twinloop.checks.target import NO_TARGET
    from twinloop.domain.verdicts import Outcome

    untold = [verdict.image for verdict in verdicts if not verdict.facet]
    if untold:
        terminal.warn(f"{some(untold)}: {NO_TARGET}. Without a target no image is approved.")
    folder = _unsure(args)
    if folder is not None and any(verdict.outcome is Outcome.UNSURE for verdict in verdicts):
        terminal.line(f"Unsure images: {folder}")


def _sort(args: argparse.Namespace, judged: Sequence[Judged]) -> None:
    from twinloop.domain.verdicts import Outcome
    from twinloop.stages.validate import sort_into

    folders = {Outcome.APPROVED: args.approved, Outcome.REJECTED: args.rejected, Outcome.UNSURE: _unsure(args)}
    sort_into(judged, {outcome: Path(folder) for outcome, folder in folders.items() if folder is not None})


def _unsure(args: argparse.Namespace) -> Path | None:
    """Where undecided images go; None = nowhere."""
    if args.unsure is not None:
        return Path(args.unsure)
    return unsure_beside(args.rejected) if args.rejected is not None else None


def unsure_beside(rejected: Path) -> Path:
    """Where undecided images go: the rejected folder's path with the word replaced, else a folder beside it."""
    parts = list(rejected.parts)
    for number in range(len(parts) - 1, -1, -1):
        if "rejected" in parts[number]:
            parts[number] = parts[number].replace("rejected", "unsure")
            return Path(*parts)
    return rejected.with_name(f"{rejected.name}_unsure")


COMMAND = Command(
    "validate", "Judge generated images and sort them into approved, rejected and unsure.", configure, run
)
