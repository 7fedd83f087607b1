"""``twinloop vault label``: trigger, class word, name and consent of a person."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.cli.vault import captioning
from twinloop.cli.vault.options import add_person, add_vault
from twinloop.domain.choices import CONSENTS
from twinloop.errors import InputError

if TYPE_CHECKING:
    from twinloop.domain.vault import Consent, Label
    from twinloop.stages.vault.dataset.label import LabelOptions

CLASS_WORD = "person"
NO_CONSENT = "none"
"""In the place of a consent: none is recorded, and one that was is taken back."""


def configure(parser: argparse.ArgumentParser) -> None:
    add_person(parser)
    parser.add_argument(
        "--trigger",
        metavar="WORDS",
        help=(
            'what calls the person in a prompt: a rare word first, as in "ohwx alice" (default: what was said before;'
            " needed the first time)"
        ),
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
        help=f"what the person is: woman, man, person, 1girl... (default: what was said before, else {CLASS_WORD})",
    )


def add_consent(parser: argparse.ArgumentParser) -> None:
    consent = parser.add_argument_group(
        "consent: on what ground these photos may be used; until it is given every record says 'not recorded'"
    )
    consent.add_argument(
        "--consent",
        choices=(*CONSENTS, NO_CONSENT),
        help=(
            "the person themself, a written consent, a licence, or nobody real; none takes back what was recorded"
            " (default: what was said before, with --by, --on and --scope)"
        ),
    )
    consent.add_argument("--by", default="", metavar="WHO", help="who gave it")
    consent.add_argument("--on", default="", metavar="DATE", help="when, as YYYY-MM-DD")
    consent.add_argument("--scope", default="", metavar="TEXT", help="what the photos may be used for")


def consent_of(args: argparse.Namespace) -> Consent:
    from twinloop.domain.vault import Consent

    return Consent(None if args.consent == NO_CONSENT else args.consent, args.by, args.on, args.scope)


def options_over(
    before: Label | None, args: argparse.Namespace, trigger: str = "", name: str | None = None
) -> LabelOptions:
    """The flags, and what was said before where they say nothing.

    Args:
        trigger: where neither says one. name: what the person is to be called from now on; None = as until now.
    """
    from twinloop.stages.vault.dataset.label import LabelOptions

    consent = consent_of(args)
    if before is None:
        return LabelOptions(args.trigger or trigger, args.class_word or CLASS_WORD, consent, name)
    # who gave it, when and for what belong to one consent: said without their kind they are refused, not mixed in
    keeps = args.consent is None and consent == type(consent)()
    return LabelOptions(
        before.trigger if args.trigger is None else args.trigger,
        before.class_word if args.class_word is None else args.class_word,
        before.consent if keeps else consent,
        name,
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.stages.vault.dataset.label import label, label_of
    from twinloop.stages.vault.opening import open_vault
    from twinloop.stages.vault.people.record import find_person, read_people

    with open_vault(args.vault) as opened:
        person = find_person(read_people(opened.vault), args.person)
        before = label_of(opened.decisions, person.id)
        if before is None and args.trigger is None:
            raise InputError(f"{person.called} has no trigger yet. Say it with --trigger, as in 'ohwx alice'.")
        style = captioning.style_for(opened, person)
        made = label(opened, person, options_over(before, args, name=args.name), style)
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
