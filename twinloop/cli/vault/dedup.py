"""``twinloop vault dedup``: find duplicates among the photos of a vault."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from twinloop.cli.argument_types import between, not_negative
from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.cli.vault.options import add_vault
from twinloop.domain.choices import DUPLICATE_KINDS
from twinloop.domain.wording import plural

if TYPE_CHECKING:
    from twinloop.stages.vault.copies.record import Duplicates
    from twinloop.store.vault.folder import Vault

NAMES = {"exact": "the same bytes", "near": "copies of one picture", "burst": "bursts of one person"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--distance",
        type=not_negative,
        metavar="BITS",
        help=(
            "bits in which perceptual hashes of copies may differ, 0 to 16 of 64; thumbnails decide in the end"
            " (default: as in the last search, else 10)"
        ),
    )
    parser.add_argument(
        "--burst-seconds",
        type=between(0, 3600, "seconds from 0 to 3600"),
        metavar="S",
        help="longest time between two photos of one burst; 0 = no bursts (default: as in the last search, else 5)",
    )
    add_vault(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.stages.vault.copies.dedup import dedup, options_for
    from twinloop.stages.vault.opening import open_vault

    with open_vault(args.vault) as opened:
        found = dedup(opened, options_for(opened.vault, args.distance, args.burst_seconds), terminal)
        for line in summary(found, opened.vault):
            terminal.line(line)
        terminal.line(f"Which is kept, and why: {opened.vault.command('duplicates')}")
        terminal.line(f"Written: {opened.vault.duplicates}")
    return {**counts(found), "path": str(opened.vault.duplicates)}


def counts(found: Duplicates) -> dict[str, Any]:
    """The figures of a search."""
    groups = {kind: len(found.of_kind(kind)) for kind in DUPLICATE_KINDS}
    return {
        "files": found.files, "photos": found.photos, "kept": found.kept, "groups": groups, "distance": found.distance,
        "burst_seconds": found.burst_seconds, "flat": found.flat, "without_thumbnail": found.without_thumbnail,
    }  # fmt: skip


def summary(found: Duplicates, vault: Vault) -> list[str]:
    """The search for people."""
    photos = plural(found.photos, "different photo")
    lines = [f"{plural(found.files, 'file')}, {photos}, {found.kept} kept"]
    for kind, name in NAMES.items():
        groups = found.of_kind(kind)
        if kind == "exact":
            spare, what = sum(len(group.files) - 1 for group in groups), "files"
        else:  # a photo of several files is one, so that the lines add up
            spare, what = len(set().union(*(group.dropped for group in groups))), "photos"
        lines.append(f"  {kind:<5}  groups ({name}): {len(groups)}; {what} that another one stands for: {spare}")
    if found.flat:
        lines += [
            (
                f"{plural(found.flat, 'photo shows', 'photos show')} too little detail to be told from others (one"
                " colour, fog, a blur):"
            ),
            "  such copies are only found where the files are the same, byte by byte.",
        ]
    if found.without_thumbnail:
        lines += [
            (
                f"{plural(found.without_thumbnail, 'photo has', 'photos have')} no thumbnail: copies are only found"
                " byte by byte."
            ),
            f"  Scan again: {vault.command('scan')}",
        ]
    return [*lines, "Nothing was deleted or moved."]


COMMAND = Command(
    "dedup", "Find duplicates: the same bytes, the same picture, the same moment. Nothing is deleted.", configure, run
)
