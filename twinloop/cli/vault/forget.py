"""``twinloop vault forget``: remove what was derived of a person, or of everybody."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.cli.vault.options import add_vault
from twinloop.cli.vault.scan import SHOWN
from twinloop.domain.wording import plural, shown
from twinloop.errors import InputError
from twinloop.store.vault.folder import COMMON_CATALOG

if TYPE_CHECKING:
    from twinloop.stages.vault.forget.promise import Forgotten, Kept


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("person", nargs="?", metavar="PERSON", help="id (p001) or name of the person to forget")
    add_vault(parser)
    parser.add_argument(
        "--all", action="store_true", help="forget everything that the vault holds, decisions and training sets too"
    )
    parser.add_argument(
        "--yes", action="store_true", help="really remove it; without this flag the command only says what would go"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    if args.all == (args.person is not None):
        raise InputError("Say whom to forget: PERSON, or --all for everything.")
    found = _everything(args) if args.all else _person(args)
    for line in lines_of(found):
        terminal.line(line)
    return found.to_json()


def _everything(args: argparse.Namespace) -> Forgotten:
    from twinloop.stages.vault.forget.everything import forget_everything
    from twinloop.store.vault.folder import Vault

    return forget_everything(Vault(args.vault), args.yes)


def _person(args: argparse.Namespace) -> Forgotten:
    from twinloop.stages.vault.forget.person import forget_person
    from twinloop.stages.vault.opening import open_vault
    from twinloop.stages.vault.people.record import find_person, read_people

    kept: list[Kept] = []
    with open_vault(args.vault, kept.append) as opened:
        for promise, done in kept:  # this very command, killed and given again
            if promise.means(args.person):
                return done
        return forget_person(opened, find_person(read_people(opened.vault), args.person), args.yes)


def lines_of(found: Forgotten) -> list[str]:
    """What went, or would go, for people."""
    lines = [f"{'Forgotten' if found.done else 'Would be forgotten'}: {found.who}"]
    if found.faces:
        lines.append(
            f"  - {plural(found.faces, 'face')} with embeddings, and the thumbnails that show"
            f" {'it' if found.faces == 1 else 'them'}"
        )
    if found.unseen:
        lines.append(
            f"  - {plural(found.unseen, 'face')} on photos that are gone or were changed, or measured by other models"
            " than the last scan's: those of everybody, because nothing tells whose they are"
        )
    if found.observed:
        lines.append(
            f"  - what other commands saw in {plural(found.observed, 'picture')} ({COMMON_CATALOG}), and in any that is"
            " gone"
        )
    if found.decisions:
        lines.append(f"  - what was said in {plural(found.decisions, 'decision')} (names, labels, captions)")
    shared = {folder for path in found.kept for folder in path.parents}
    lines += [f"  - {shown(str(path))}{': what prep wrote there' if path in shared else ''}" for path in found.paths]
    lines += _kept_lines(found)
    lines += [f"Note: {note}" for note in found.notes]
    return lines if found.done else [*lines, "Nothing was removed. To do it: the same command with --yes"]


def _kept_lines(found: Forgotten) -> list[str]:
    """What stays because the user put it there."""
    if not found.kept:
        return []
    more = [f"  - and {len(found.kept) - SHOWN} more (--json lists all)"] if len(found.kept) > SHOWN else []
    return [
        (
            f"{'Left' if found.done else 'Would be left'}, because this program did not write it so; delete it yourself"
            " where it should go:"
        ),
        *(f"  - {shown(str(path))}" for path in found.kept[:SHOWN]),
        *more,
    ]


COMMAND = Command(
    "forget",
    "Remove all that was derived from photos of a person, or of everybody. The photos stay as they are.",
    configure,
    run,
)
