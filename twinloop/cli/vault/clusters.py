"""``twinloop vault clusters``: everybody with their faces."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.cli.vault.cluster import called_lines
from twinloop.cli.vault.options import add_vault
from twinloop.domain.wording import plural, shown

if TYPE_CHECKING:
    from twinloop.stages.vault.people.listing import ListedPerson


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hidden", action="store_true", help="also list hidden people (--json always does, marked)")
    parser.add_argument(
        "--sheets",
        type=Path,
        metavar="DIR",
        help="also write a picture of each person's faces to DIR; the pictures are readable by you only",
    )
    add_vault(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.stages.vault.dataset.folder.apart import check_apart
    from twinloop.stages.vault.opening import looked_into
    from twinloop.stages.vault.people.listing import clusters
    from twinloop.stages.vault.people.record import read_people, stale
    from twinloop.stages.vault.people.sheets import write_sheets

    with looked_into(args.vault, terminal.warn) as opened:
        if args.sheets is not None:
            check_apart(opened.vault, opened.record.folders, args.sheets, "--sheets", "the contact sheets")
        people = read_people(opened.vault)
        if people.fingerprint != opened.fingerprint:
            terminal.warn(stale(opened.vault))
        listed = clusters(opened, people)
        sheets = write_sheets(opened, listed, args.sheets, terminal) if args.sheets is not None else []
    for line in lines_of([item for item in listed if args.hidden or item.person is None or not item.person.hidden]):
        terminal.line(line)
    for line in called_lines(people, opened.vault):
        terminal.line(line)
    if sheets:
        terminal.line(f"{plural(len(sheets), 'contact sheet')} in {args.sheets}")
    return [item.to_json() for item in listed]


def lines_of(listed: list[ListedPerson]) -> list[str]:
    """A table: id, name, faces, an example."""
    rows = [("id", "name", "faces", "for example")]
    for item in listed:
        person, example = item.person, shown(item.faces[0].path) if item.faces else ""
        if person is not None:
            rows.append(
                (
                    person.id,
                    f"{person.name or '-'}{' (hidden)' if person.hidden else ''}",
                    str(len(item.faces)),
                    example,
                )
            )
        elif item.faces:
            rows.append(("-", "strangers", str(len(item.faces)), example))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}" for row in rows]


COMMAND = Command("clusters", "List the people with their faces, and the strangers.", configure, run)
