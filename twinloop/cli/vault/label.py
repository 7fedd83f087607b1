"""``twinloop vault label``: trigger, class word, name and consent of a person."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.cli.vault.options import add_person, add_vault
from twinloop.domain.choices import CONSENTS

if TYPE_CHECKING:
    from twinloop.domain.vault import Consent

CLASS_WORD = "person"


def configure(parser: argparse.ArgumentParser) -> None:
    add_person(parser)
    parser.add_argument(
        "--trigger",
        required=True,
        metavar="WORDS",
        help='what calls the person in a prompt: a rare word first, as in "ohwx alice"',
    )
    add_class_word(parser)
    parser.add_argument("--name", metavar="NAME", help="also name the person; the name of the folder, too")
    add_consent(parser)
    add_vault(parser)


def add_class_word(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--class",
        dest="class_word",
        metavar="WORD",
        help=f"what the person is: woman, man, person, 1girl... (default: {CLASS_WORD})",
    )


def add_consent(parser: argparse.ArgumentParser) -> None:
    consent = parser.add_argument_group(
        "consent: on what ground these photos may be used; without it every record says 'not recorded'"
    )
    consent.add_argument(
        "--consent", choices=CONSENTS, help="the person themself, a written consent, a licence, or nobody real"
    )
    consent.add_argument("--by", default="", metavar="WHO", help="who gave it")
    consent.add_argument("--on", default="", metavar="DATE", help="when, as YYYY-MM-DD")
    consent.add_argument("--scope", default="", metavar="TEXT", help="for what")


def consent_of(args: argparse.Namespace) -> Consent:
    from twinloop.domain.vault import Consent

    return Consent(args.consent, args.by, args.on, args.scope)


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.stages.vault.dataset.label import LabelOptions, label
    from twinloop.stages.vault.opening import open_vault
    from twinloop.stages.vault.people.record import find_person, read_people

    with open_vault(args.vault) as opened:
        person = find_person(read_people(opened.vault), args.person)
        made = label(
            opened, person, LabelOptions(args.trigger, args.class_word or CLASS_WORD, consent_of(args), args.name)
        )
    for text in made.warnings:
        terminal.warn(text)
    data = made.to_json()
    terminal.line(f"{person.id}{f' ({made.name})' if made.name else ''}: prompts begin with '{data['prompt']}'")
    terminal.line(f"Consent: {made.label.consent.text}")
    terminal.line(f"Next: {opened.vault.command(f'prep {person.id}')}")
    return data


COMMAND = Command(
    "label", "Say how a person is called in training, and on what ground the photos may be used.", configure, run
)
