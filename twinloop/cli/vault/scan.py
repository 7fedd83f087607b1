"""``twinloop vault scan``: look at every photo of some folders, once."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.argument_types import not_negative, positive
from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.cli.vault.cluster import new_faces_text
from twinloop.cli.vault.options import add_vault
from twinloop.domain.wording import by_reason, plural
from twinloop.system import shell

if TYPE_CHECKING:
    from twinloop.stages.vault.scan import Scanned
    from twinloop.store.vault.folder import Vault

SHOWN = 10


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folders",
        nargs="*",
        type=Path,
        metavar="FOLDER",
        help="folders (or files) to take in; those scanned before are looked through again anyway",
    )
    add_vault(parser)
    _add_what(parser)
    _add_working(parser)


def _add_what(parser: argparse.ArgumentParser) -> None:
    """What is looked at, and with which models."""
    parser.add_argument(
        "--models-dir",
        metavar="DIR",
        help=(
            "folder of detector files, or the word 'nano' for the embedded ones (default: as in the last scan, else"
            " models)"
        ),
    )
    parser.add_argument(
        "--remove",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="take this folder out of the vault; may be given again",
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        type=_pattern,
        metavar="PATTERN",
        help=(
            "pass over what matches, below the scanned folders: a name at any depth (raw, '*.tif'), or a path with *"
            " within a name and ** for any folders ('2019/**', '**/raw/*.jpg'); may be given again; remembered by the"
            " vault"
        ),
    )
    parser.add_argument(
        "--no-exclude",
        action="store_true",
        help="forget the patterns of earlier --exclude; those given now count",
    )
    parser.add_argument(
        "--min-face",
        type=positive,
        metavar="PX",
        help="lowest height of faces that are kept, in pixels of the photo (default: as in the last scan, else 40)",
    )


def _add_working(parser: argparse.ArgumentParser) -> None:
    """The processes that do it, and their limits."""
    parser.add_argument(
        "--workers",
        type=not_negative,
        metavar="N",
        help=(
            "processes that decode and measure; 0 = none, without protection from broken files (default: one per core,"
            " 16 at most)"
        ),
    )
    parser.add_argument(
        "--timeout",
        type=positive,
        default=30,
        metavar="S",
        help="seconds after which a photo is given up (default: 30)",
    )
    parser.add_argument(
        "--memory",
        type=positive,
        default=2048,
        metavar="MB",
        help="memory that one photo may take in a worker (default: 2048)",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.store.vault.folder import Vault

    done = scanned(args, terminal)
    if done.new_faces:
        terminal.line(new_faces_text(done.new_faces, Vault(args.vault)))
    return done.to_json()


def scanned(args: argparse.Namespace, terminal: Terminal, identities: bool = False) -> Scanned:
    """Scan as the flags say, and tell what was done. ``identities``: as in `ScanPlan`."""
    from twinloop import wiring
    from twinloop.stages.vault.scan import scan
    from twinloop.store.vault.folder import Vault

    vault = Vault(args.vault)
    plan = wiring.scan_plan(
        vault,
        args.folders,
        wiring.ScanSettings(
            models_dir=args.models_dir,
            min_face=args.min_face,
            workers=args.workers,
            timeout=args.timeout,
            memory=args.memory,
        ),
        remove=args.remove,
        exclude=args.exclude,
        only_these=args.no_exclude,
    )
    done = scan(vault, replace(plan, identities=identities), terminal)
    for line in lines_of(done, vault):
        terminal.line(line)
    for note in done.notes:
        terminal.warn(note)
    for pattern in args.exclude:
        if not done.excluded.get(pattern):
            others = " outside of what is passed over anyway" if passed_lines(done) else ""
            terminal.warn(
                f"--exclude {shell.quote(pattern)} matches nothing{others}. A pattern with a slash is of the"
                " whole path below a scanned folder, without that folder's own name."
            )
    return done


def lines_of(done: Scanned, vault: Vault) -> list[str]:
    """The summary for people."""
    counts = done.counts
    lines = [
        f"{plural(counts.photos, 'photo')} with {plural(counts.faces, 'face')} in {plural(counts.files, 'file')}",
        (
            f"measured {done.measured}, known by their content {done.recognised}, unchanged {done.unchanged}, gone"
            f" {done.gone}, skipped {count_skipped(done.skipped)}"
        ),
    ]
    if done.named:
        lines.append(f"names of people from photo programs on {plural(done.named, 'photo')}")
    return [
        *lines,
        *skipped_lines([(os.fspath(path), reason) for path, reason in done.skipped], vault),
        *passed_lines(done),
        *ignored_lines(done.ignored),
    ]


def count_skipped(skipped: Iterable[tuple[Path, str]]) -> int:
    """Files that are missed: of a raw photo beside its JPEG the shot is there."""
    from twinloop.store.pictures.raw_pairs import is_beside

    return sum(not is_beside(reason) for _, reason in skipped)


def skipped_lines(skipped: list[tuple[str, str]], vault: Vault) -> list[str]:
    """The first reasons why files were skipped, each with its first file; raw photos beside their JPEGs are one."""
    from twinloop.store.pictures.raw_pairs import is_beside

    beside = [path for path, reason in skipped if is_beside(reason)]
    others = by_reason((path, reason) for path, reason in skipped if not is_beside(reason))
    pairs = [
        "",
        f"Raw photos beside a JPEG or HEIC of the same shot, which is used instead: {len(beside)}",
    ]
    if not others:
        return pairs if beside else []
    more = [f"  - and {len(others) - SHOWN} more: {vault.command('status --json')}"] if len(others) > SHOWN else []
    return [
        *(pairs if beside else []),
        "",
        f"Skipped: {len(skipped) - len(beside)}",
        *(f"  - {paths}: {reason}" for paths, reason in others[:SHOWN]),
        *more,
    ]


def passed_lines(done: Scanned) -> list[str]:
    from twinloop.stages.vault.passed_over import counted

    told = counted(done.passed_over, {pattern: count for pattern, count in done.excluded.items() if count})
    return ["", f"Passed over, with all that is in them: {told}"] if told else []


def ignored_lines(ignored: dict[str, int]) -> list[str]:
    from twinloop.store.pictures.names_beside import SUFFIXES as NAMES
    from twinloop.store.pictures.sidecar import SUFFIXES as CAPTIONS
    from twinloop.store.pictures.videos import SUFFIXES as VIDEOS

    if not ignored:
        return []
    kinds = ", ".join(
        f"{count} {suffix or 'without a suffix'}"
        for suffix, count in sorted(ignored.items(), key=lambda item: -item[1])[:SHOWN]
    )
    used = "; captions among them (a.txt beside a.png) are used by caption and prep"
    names = "; names of people in .xmp and .json files beside photos are read"
    film = "; videos among them: twinloop vault frames takes pictures out of them"
    also = (used if ignored.keys() & set(CAPTIONS) else "") + (names if ignored.keys() & set(NAMES) else "")
    also += film if ignored.keys() & VIDEOS else ""
    return ["", f"Not pictures by their name, left alone: {kinds}{also}"]


def _pattern(text: str) -> str:
    if not text.strip("/"):
        raise argparse.ArgumentTypeError("expected a name, or a pattern such as '*.tif' or '2019/**'")
    return text


COMMAND = Command(
    "scan",
    "Look at every photo of some folders, once: faces, measures, thumbnails. Photos are only read.",
    configure,
    run,
)
