"""``twinloop vault cluster``: who is who among the faces that were found."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.argument_types import fraction, positive
from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.cli.vault.options import add_vault
from twinloop.domain.names import folded
from twinloop.domain.wording import agree, plural, shown, some
from twinloop.system import shell

if TYPE_CHECKING:
    from twinloop.domain.vault import Person
    from twinloop.stages.vault.opened import OpenVault
    from twinloop.stages.vault.people.cluster import Clustered
    from twinloop.stages.vault.people.record import People
    from twinloop.store.vault.folder import Vault

SHOWN = 12
"""So many new and gone people are named."""


def configure(parser: argparse.ArgumentParser) -> None:
    add_clustering(parser)
    add_vault(parser)


def add_clustering(parser: argparse.ArgumentParser) -> None:
    """How people are told apart. None = as in the last run, else by default."""
    parser.add_argument(
        "--limit",
        type=_limit,
        metavar="COSINE",
        help=(
            "average likeness from which two groups of faces are one person, 0-1: higher mixes up fewer; auto = what"
            " follows from the embedder (default: as in the last run, else auto)"
        ),
    )
    parser.add_argument(
        "--min-faces",
        type=positive,
        metavar="N",
        help="photos that make a person; whoever is on fewer is a stranger (default: as in the last run, else 3)",
    )


def _limit(text: str) -> float:
    return 0.0 if text == "auto" else fraction(text)


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop import wiring
    from twinloop.stages.vault.opening import open_vault
    from twinloop.stages.vault.people.cluster import ClusterOptions, cluster
    from twinloop.stages.vault.people.without_face import without_face

    with open_vault(args.vault) as opened:
        done = cluster(opened, ClusterOptions(args.limit, args.min_faces), wiring.build_neighbour_search, terminal)
        bare = tuple(without_face(opened, done.people).values())
    first = done.people.persons[0].id if done.people.persons else "p001"
    for line in [*lines_of(done), *called_lines(done.people, opened.vault), *without_face_lines(bare, opened.vault)]:
        terminal.line(line)
    terminal.line(f"Who is who: {opened.vault.command('clusters')}")
    terminal.line(f"To name somebody: {opened.vault.command(f'name {first} NAME')}")
    return {**done.to_json(), "without_face": len(bare)}


def lines_of(done: Clustered) -> list[str]:
    """The summary for people."""
    data = done.to_json()
    people, strangers = plural(data["people"], "person", "people"), plural(data["strangers"], "face")
    lines = [
        f"{people} with {plural(data['faces'], 'face')}; {strangers} of strangers",
        f"Faces are one person's from a likeness of {data['limit']:.2f} (cosine, 1 = the same; --limit).",
        f"Who is on fewer than {plural(data['min_faces'], 'photo')} is a stranger (--min-faces).",
    ]
    if not done.changed:
        lines.append("Nothing changed.")
    elif done.new or done.gone:
        lines += [f"{word}: {_few(names)}" for word, names in (("New", done.new), ("Gone", done.gone)) if names]
    return lines


def called_lines(people: People, vault: Vault) -> list[str]:
    """What photo programs called the people, where the user gave no name yet; and what does not fit together."""
    shown_people = [person for person in people.persons if not person.hidden]
    given = {folded(person.name): person for person in people.persons if person.name is not None}
    lines, hints = [], []
    for person in shown_people:
        said = people.in_photos(person)
        if said.name is not None and person.name is None:
            taken = given.get(folded(said.name))
            lines.append(f"{person.id} is {said.text}{_step(person, said.name, taken, vault)}")
        if said.may_mix:
            split = vault.command(f"split {person.id} FILE...")
            hints.append(f"{person.called} may mix two people, by the names in your photos: {said.mix_text}. {split}")
    hints += [
        f"{some([person.called for person in alike])} have one name in your photos. If they are one person:"
        f" {vault.command('merge ' + ' '.join(person.id for person in alike))}"
        for alike in _of_one_name(people, shown_people)
    ]
    more = [f"  - and {len(lines) - SHOWN} more, all in: {vault.command('clusters --json')}"] if lines[SHOWN:] else []
    return [*lines[:SHOWN], *more, *hints[:SHOWN]]


def _step(person: Person, name: str, taken: Person | None, vault: Vault) -> str:
    """How the person gets the name of the photos. ``taken``: who has it already."""
    if taken is None:
        return f": {vault.command(f'name {person.id} {shell.quote(name)}')}"
    return f"; so is {taken.id}" + (f", who is hidden: {vault.command(f'show {taken.id}')}" if taken.hidden else "")


def _of_one_name(people: People, persons: Sequence[Person]) -> list[list[Person]]:
    """People who may be one by their names, those with a name from the user first; whom the user gave different names
    are not.
    """
    alike: dict[str, list[Person]] = {}
    for person in sorted(persons, key=lambda person: person.name is None):
        said = people.in_photos(person).name
        names = {folded(name) for name in (person.name, said) if name is not None}
        for name in names:
            alike.setdefault(name, []).append(person)
    return [found for found in alike.values() if len(found) > 1 and any(person.name is None for person in found)]


def new_faces_text(count: int, vault: Vault) -> str:
    """That faces came which nobody has, and no training set uses, until people are told apart again."""
    came = f"{plural(count, 'face was', 'faces were')} found since people were told apart"
    return f"{came}; {agree(count, 'it is', 'they are')} not used yet. Next: {vault.command('cluster')}"


def warn_of_new_faces(opened: OpenVault, terminal: Terminal) -> None:
    from twinloop.stages.vault.people.new_faces import faces_to_tell_apart

    if count := faces_to_tell_apart(opened.vault, opened.catalog, opened.fingerprint):
        terminal.warn(new_faces_text(count, opened.vault))


def without_face_lines(paths: Sequence[str], vault: Vault) -> list[str]:
    """How many photos show no face that was found, the first by name, and what to do where that is no mistake."""
    if not paths:
        return []
    names = some([shown(Path(path).name) for path in paths])
    return [
        f"{plural(len(paths), 'picture shows', 'pictures show')} no face that was found: {names} (all:"
        f" {vault.command('status --json')})",
        f"  If one is of the same person or character: {vault.command('assign PERSON FILE --without-face')}; if all"
        f" are: {vault.command('run FOLDER --person NAME --everything')}",
    ]


def _few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


COMMAND = Command(
    "cluster",
    "Tell people apart by their faces; those on few photos are strangers. Names and corrections are kept.",
    configure,
    run,
)
