"""``twinloop vault exclude`` and ``include``: leave a photo out of a person's training set, or take it in."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.cli.vault.options import add_person, add_vault, person_of
from twinloop.domain.wording import agree, plural
from twinloop.system import shell


def configure(parser: argparse.ArgumentParser) -> None:
    add_person(parser)
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="photos, by path or by a name that only one has; or pictures of the prepared folder",
    )
    parser.add_argument(
        "--clear", action="store_true", help="take both exclude and include of these photos back; prep decides again"
    )
    add_vault(parser)


def _saying(kind: str) -> Callable[[argparse.Namespace, Terminal], Any]:
    def run(args: argparse.Namespace, terminal: Terminal) -> Any:
        from twinloop.stages.vault.dataset import by_hand
        from twinloop.stages.vault.dataset.known_photos import copies_left_out, still_left_out
        from twinloop.stages.vault.opening import open_vault

        with open_vault(args.vault) as opened:
            person = person_of(opened, args.person)
            photos = by_hand.photos_meant(opened, person, args.files)
            made = by_hand.say(opened, person, by_hand.AUTOMATIC if args.clear else kind, photos)
            changed = made.data["photos"]
            left_out = still_left_out(opened, person, changed) if made.kind == by_hand.INCLUDE else ()
            copies = copies_left_out(opened, person, changed)
            gone = by_hand.gone_photos(opened, person).intersection(changed)
            behind = by_hand.chosen_since(opened, person, by_hand.prepared_record(opened, person))
            outside = by_hand.behind_outside(opened, person)
        which = plural(len(changed), "photo is", "photos are")
        text = f"{which} {by_hand.STANDS[made.kind]} from now on ({person.called})."
        terminal.line(f"{text} To take it back: {opened.vault.command('undo')}")
        for item in left_out:
            terminal.line(f"Left out all the same: {item.photo.paths[0]}: {item.reason}")
        for item in copies:
            terminal.line(f"Left out with it: {item.photo.paths[0]}: {item.reason}")
        if gone and made.kind == by_hand.EXCLUDE:
            terminal.line(
                f"The {agree(len(gone), 'photo', 'photos')} of {plural(len(gone), 'picture')}"
                f" {agree(len(gone), 'is', 'are')} no longer there: once prep has removed what was cut from"
                f" {agree(len(gone), 'it', 'them')}, it cannot be made again"
            )
        if behind:
            terminal.line(f"The training set is older than that. Next: {opened.vault.command(f'prep {person.id}')}")
        for folder in outside:
            step = opened.vault.command(f"prep {person.id} --output {shell.quote(folder)}")
            terminal.line(f"The training set in {folder} is older than that. Next: {step}")
        return {
            "changed": text,
            "decision": {"number": made.number, "kind": made.kind, "data": dict(made.data)},
            "left_out": [item.to_json() for item in (*left_out, *copies)],
            "behind": behind,
            "behind_outside": outside,
        }

    return run


EXCLUDE = Command("exclude", "Leave photos out of a person's training set.", configure, _saying("exclude"))
INCLUDE = Command(
    "include",
    "Take photos into a person's training set, blurred, small, copied or too many as they are.",
    configure,
    _saying("include"),
)
