"""``twinloop vault scan``: look at every photo of some folders, once."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.argument_types import not_negative, positive
from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.cli.vault.options import add_vault
from twinloop.domain.wording import plural, shown

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
        "--min-face",
        type=positive,
        metavar="PX",
        help="height from which faces are kept, in pixels of the photo (default: as in the last scan, else 40)",
    )
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


def run(args: argparse.Namespace, terminal: Terminal, identities: bool = False) -> Any:
    """``identities``: as in `ScanPlan`."""
    from twinloop import wiring
    from twinloop.stages.vault.scan import scan
    from twinloop.store.vault.folder import Vault

    vault = Vault(args.vault)
    plan = wiring.scan_plan(
        vault,
        args.folders,
        remove=args.remove,
        models_dir=args.models_dir,
        min_face=args.min_face,
        workers=args.workers,
        timeout=args.timeout,
        memory=args.memory,
    )
    done = scan(vault, replace(plan, identities=identities), terminal)
    for line in lines_of(done, vault):
        terminal.line(line)
    for note in done.notes:
        terminal.warn(note)
    return done.to_json()


def lines_of(done: Scanned, vault: Vault) -> list[str]:
    """The summary for people."""
    counts = done.counts
    lines = [
        f"{plural(counts.photos, 'photo')} with {plural(counts.faces, 'face')} in {plural(counts.files, 'file')}",
        (
            f"measured {done.measured}, known by their content {done.recognised}, unchanged {done.unchanged}, gone"
            f" {done.gone}, skipped {len(done.skipped)}"
        ),
    ]
    return [
        *lines,
        *skipped_lines([(os.fspath(path), reason) for path, reason in done.skipped], vault),
        *ignored_lines(done.ignored),
    ]


def skipped_lines(skipped: list[tuple[str, str]], vault: Vault) -> list[str]:
    """The first skipped files with their reasons."""
    if not skipped:
        return []
    more = [f"  - and {len(skipped) - SHOWN} more: {vault.command('status --json')}"] if len(skipped) > SHOWN else []
    return [
        "",
        f"Skipped: {len(skipped)}",
        *(f"  - {shown(path)}: {reason}" for path, reason in skipped[:SHOWN]),
        *more,
    ]


def ignored_lines(ignored: dict[str, int]) -> list[str]:
    from twinloop.store.pictures.sidecar import SUFFIXES as CAPTIONS
    from twinloop.store.pictures.videos import SUFFIXES as VIDEOS

    if not ignored:
        return []
    kinds = ", ".join(
        f"{count} {suffix or 'without a suffix'}"
        for suffix, count in sorted(ignored.items(), key=lambda item: -item[1])[:SHOWN]
    )
    used = "; captions among them (a.txt beside a.png) are used by caption and prep"
    film = "; videos among them: twinloop vault frames takes pictures out of them"
    also = (used if ignored.keys() & set(CAPTIONS) else "") + (film if ignored.keys() & VIDEOS else "")
    return ["", f"Not pictures by their name, left alone: {kinds}{also}"]


COMMAND = Command(
    "scan",
    "Look at every photo of some folders, once: faces, measures, thumbnails. Photos are only read.",
    configure,
    run,
)
