"""``twinloop vault duplicates``, ``keep`` and ``distinct``: what dedup found, and what the user says of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.cli.vault.behind import say_behind
from twinloop.cli.vault.options import add_vault
from twinloop.domain.choices import DUPLICATE_KINDS
from twinloop.domain.wording import plural, shown

if TYPE_CHECKING:
    from twinloop.domain.vault import Decision
    from twinloop.stages.vault.copies.record import DuplicateFile, DuplicateGroup
    from twinloop.stages.vault.dataset.outdated import Outdated
    from twinloop.stages.vault.opened import OpenVault


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", choices=DUPLICATE_KINDS, help="only groups of this kind")
    add_vault(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.stages.vault.copies.dedup import current, known
    from twinloop.stages.vault.opening import looked_into, open_vault

    with looked_into(args.vault, terminal.warn) as opened:
        found = known(opened)
    if found is None:
        with open_vault(args.vault) as opened:
            found = current(opened, terminal)
    groups = found.groups if args.kind is None else found.of_kind(args.kind)
    for group in groups:
        for line in _group_lines(group):
            terminal.line(line)
    terminal.line(plural(len(groups), "group"))
    if groups:
        terminal.line(f"To keep another one of a group: {opened.vault.command('keep FILE')}")
        terminal.line(f"Where two are no duplicates: {opened.vault.command('distinct FILE FILE')}")
    return [group.to_json() for group in groups]


def _group_lines(group: DuplicateGroup) -> Iterator[str]:
    yield f"{group.kind}: {group.reason}"
    for file in group.files:
        yield f"  {'keep' if file.kept else 'drop'}  {shown(file.path)}  {_details(file)}"
    yield ""


def _details(file: DuplicateFile) -> str:
    from twinloop.facets.composition import EYES_OPEN

    score = file.score
    sharp = "" if score["face_sharpness"] is None else f", face sharpness {score['face_sharpness']:.0f}"
    eyes = "" if score["eyes_open"] is None else f", eyes {'open' if score['eyes_open'] >= EYES_OPEN else 'closed'}"
    return f"({score['width']} x {score['height']}{sharp}{eyes}): {file.reason}"


def configure_keep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a file of a group; twinloop vault duplicates lists them"
    )
    add_vault(parser)


def run_keep(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.stages.vault.copies.dedup import current
    from twinloop.stages.vault.copies.edits import keep
    from twinloop.stages.vault.dataset.outdated import outdated
    from twinloop.stages.vault.opening import open_vault

    with open_vault(args.vault) as opened:
        before = outdated(opened)
        made = keep(opened, current(opened, terminal), args.file)
        return _told(opened, made, f"{args.file} is kept from now on.", before, terminal)


def configure_distinct(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="two or more files that are no duplicates of each other"
    )
    add_vault(parser)


def run_distinct(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.stages.vault.copies.edits import distinct
    from twinloop.stages.vault.dataset.outdated import outdated
    from twinloop.stages.vault.opening import open_vault

    with open_vault(args.vault) as opened:
        before = outdated(opened)
        made = distinct(opened, args.files)
        return _told(
            opened,
            made,
            f"{len(made.data['photos'])} photos are no duplicates of each other from now on.",
            before,
            terminal,
        )


def _told(opened: OpenVault, made: Decision, text: str, before: Mapping[str, Outdated], terminal: Terminal) -> Any:
    """Search again, so that the groups follow, and say what was decided."""
    from twinloop.stages.vault.copies.dedup import current
    from twinloop.stages.vault.copies.record import dropped

    gone = dropped(current(opened, terminal)) if opened.vault.duplicates.exists() else {}
    terminal.line(f"{text} Take it back: {opened.vault.command('undo')}")
    say_behind(opened, before, terminal)
    return {"number": made.number, "kind": made.kind, "data": dict(made.data), "dropped": len(gone)}


DUPLICATES = Command(
    "duplicates", "The groups of duplicates, the kept file first, each with its reason.", configure, run
)
KEEP = Command(
    "keep", "Keep this photo of its group of duplicates, instead of the one that is kept now.", configure_keep, run_keep
)
DISTINCT = Command("distinct", "These photos are no duplicates of each other.", configure_distinct, run_distinct)
