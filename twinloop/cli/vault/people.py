"""What the user says of people: ``twinloop vault name``, ``merge``, ``split``, ``reject``, ``assign``, ``hide``,
``show``; and ``undo``, ``history``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.argument_types import positive
from twinloop.cli.command import Command, Run
from twinloop.cli.terminal import Terminal
from twinloop.cli.vault.behind import say_behind
from twinloop.cli.vault.options import add_person, add_vault

if TYPE_CHECKING:
    from twinloop.stages.vault.opened import OpenVault
    from twinloop.stages.vault.people.edits import Edited


def _editing(edit: Callable[[Any, OpenVault, argparse.Namespace], Edited]) -> Run:
    """Runs one edit, which is given the module of them all, and says what changed."""

    def run(args: argparse.Namespace, terminal: Terminal) -> Any:
        from twinloop.stages.vault.dataset.outdated import outdated
        from twinloop.stages.vault.opening import open_vault
        from twinloop.stages.vault.people import edits

        with open_vault(args.vault) as opened:
            before = outdated(opened)
            done = edit(edits, opened, args)
            terminal.line(f"{done.text} To take it back: {opened.vault.command('undo')}")
            say_behind(opened, before, terminal)
        return done.to_json()

    return run


def _configure_name(parser: argparse.ArgumentParser) -> None:
    add_person(parser)
    parser.add_argument(
        "name", metavar="NAME", help="what to call the person; also the name of the folder with the training set"
    )
    add_vault(parser)


def _configure_merge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("people", nargs="+", metavar="PERSON", help="ids or names; all become the first")
    add_vault(parser)


def _configure_files(parser: argparse.ArgumentParser) -> None:
    add_person(parser)
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="photos, by path or by a name that only one has"
    )
    parser.add_argument(
        "--face",
        type=positive,
        metavar="N",
        help="which face of each photo, counted from the largest, where several could be meant",
    )
    add_vault(parser)


def _configure_assign(parser: argparse.ArgumentParser) -> None:
    _configure_files(parser)
    parser.add_argument(
        "--without-face",
        action="store_true",
        help="take the whole pictures, whatever faces were found: of a drawn character, a robot, an animal, a back",
    )


def _configure_person(parser: argparse.ArgumentParser) -> None:
    add_person(parser)
    add_vault(parser)


def _undo(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.stages.vault.dataset.outdated import outdated
    from twinloop.stages.vault.history import last_said
    from twinloop.stages.vault.opening import open_vault
    from twinloop.stages.vault.people.edits import undo

    with open_vault(args.vault) as opened:
        said, before = last_said(opened), outdated(opened)
        last = undo(opened)
        terminal.line(f"Taken back: {said.text} (no. {last.number}, of {last.when})")
        say_behind(opened, before, terminal)
    if last.kind == "forget":
        scan, cluster = opened.vault.command("scan"), opened.vault.command("cluster")
        terminal.line(f"Next: {scan} measures these photos again, then {cluster}")
    return {**said.to_json(), "undone": True}


def _history(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.stages.vault.history import history
    from twinloop.stages.vault.opening import looked_into

    with looked_into(args.vault, terminal.warn) as opened:
        every = history(opened)
    for item in every:
        made = item.decision
        terminal.line(f"{made.number:>4}  {made.when}  {item.text}{'  (undone)' if made.undone else ''}")
    if not every:
        terminal.line("Nothing was decided yet.")
    return [item.to_json() for item in every]


_name = _editing(lambda edits, opened, args: edits.name(opened, args.person, args.name))
_merge = _editing(lambda edits, opened, args: edits.merge(opened, args.people))
_split = _editing(lambda edits, opened, args: edits.split(opened, args.person, args.files, args.face))
_reject = _editing(lambda edits, opened, args: edits.reject(opened, args.person, args.files, args.face))
_assign = _editing(
    lambda edits, opened, args: (
        edits.assign_pictures(opened, args.person, args.files)
        if args.without_face
        else edits.assign(opened, args.person, args.files, args.face)
    )
)
_hide = _editing(lambda edits, opened, args: edits.hide(opened, args.person))
_show = _editing(lambda edits, opened, args: edits.hide(opened, args.person, hidden=False))

COMMANDS = (
    Command("name", "Give a person a name.", _configure_name, _name),
    Command("merge", "Make several people one: the first that is named.", _configure_merge, _merge),
    Command("split", "Make the faces of a person in some photos a new person.", _configure_files, _split),
    Command("reject", "Not this person: the faces in these photos never come back to it.", _configure_files, _reject),
    Command("not-this-person", "The same as reject.", _configure_files, _reject),
    Command("assign", "Say that the faces in these photos are this person.", _configure_assign, _assign),
    Command("hide", "Leave a person out of lists and training sets.", _configure_person, _hide),
    Command("show", "Show a hidden person again.", _configure_person, _show),
    Command("undo", "Take the last decision back, whatever it was about.", add_vault, _undo),
    Command("history", "List every decision; those that were taken back are marked.", add_vault, _history),
)
