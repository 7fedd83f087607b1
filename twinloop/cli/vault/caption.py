"""``twinloop vault caption``: what each picture of a person shows, in words."""

from __future__ import annotations

import argparse
from typing import Any

from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.cli.vault import captioning, cluster, findings, flags
from twinloop.cli.vault.options import add_person, add_vault, person_of


def configure(parser: argparse.ArgumentParser) -> None:
    add_person(parser)
    flags.add_captioning(parser)
    flags.add_cutting(parser)
    parser.add_argument(
        "--edit",
        nargs=2,
        metavar=("FILE", "TEXT"),
        help='your own caption of a photo (its path or name); "" takes it back',
    )
    parser.add_argument("--list", action="store_true", help="only show the captions there are")
    add_vault(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.stages.vault.dataset import caption, own_captions
    from twinloop.stages.vault.dataset.folder import prepared
    from twinloop.stages.vault.dataset.label import needed_label
    from twinloop.stages.vault.opening import open_vault

    with open_vault(args.vault) as opened:
        person = person_of(opened, args.person)
        label = needed_label(opened, person)
        last = caption.recorded(opened, person)
        for name in prepared.adopt_edits(opened, person, label):
            terminal.line(f"Yours from now on: {name}")
        if args.edit is not None:
            photo = own_captions.photo_meant(opened, person, args.edit[0])
            terminal.line(
                "Written down:"
                f" {own_captions.edit(opened, label, photo, args.edit[1]) or 'the measured caption comes back'}"
            )
        if args.list and last is not None:
            return _listed(caption.shown(opened, label, last), terminal)
        found = caption.caption(opened, captioning.planned(args, opened, person, label, terminal), terminal)
        cluster.warn_of_new_faces(opened, terminal)
    edited = sum(item.source == caption.EDITED for item in found.captions)
    terminal.line(f"Captions: {len(found.captions)} ({edited} your own)")
    for line in [*findings.beside_lines(found), *findings.unused_lines(found)]:
        terminal.line(line)
    terminal.line(f"For example: {found.captions[0].text}")
    for line in findings.left_out_lines(found.left_out):
        terminal.line(line)
    findings.say_audit(found, terminal)
    terminal.line(f"Consent: {label.consent.text}\nNext: {opened.vault.command(f'prep {person.id}')}")
    return found.to_json()


def _listed(data: dict[str, Any], terminal: Terminal) -> Any:
    for item in data["captions"]:
        terminal.line(f"{item['path']}{' (yours)' if item['source'] == 'edited' else ''}\n    {item['text']}")
    return data


COMMAND = Command("caption", "Write captions: the trigger first, then what varies from photo to photo.", configure, run)
