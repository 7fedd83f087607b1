"""``twinloop vault prep``: a person's pictures, cut and captioned, ready for a trainer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.argument_types import positive
from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.cli.vault import captioning, cluster, findings, flags
from twinloop.cli.vault.options import add_person, add_vault, person_of
from twinloop.domain.choices import LAYOUTS
from twinloop.domain.wording import agree, plural

if TYPE_CHECKING:
    from twinloop.domain.vault import Person
    from twinloop.stages.vault.dataset.grade import Readiness
    from twinloop.stages.vault.dataset.prep import Prepared
    from twinloop.stages.vault.opened import OpenVault


def configure(parser: argparse.ArgumentParser) -> None:
    add_person(parser)
    add_layout(parser)
    flags.add_cutting(parser)
    flags.add_captioning(parser)
    add_vault(parser)


def add_layout(parser: argparse.ArgumentParser) -> None:
    """How the folder is laid out. None = as it is."""
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        help=(
            "pictures with .txt (what the loop reads), kohya's 'N_trigger class' folder, or pictures with"
            " metadata.jsonl (default: as it is, flat at first)"
        ),
    )
    parser.add_argument(
        "--repeats",
        type=positive,
        metavar="N",
        help="number in the name of kohya's folder (default: as it is, 10 at first)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="another folder than organized/<person> in the vault"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.stages.vault.opening import open_vault

    with open_vault(args.vault) as opened:
        found = made(opened, person_of(opened, args.person), args, terminal)
        cluster.warn_of_new_faces(opened, terminal)
    terminal.line(f"Consent: {found.captions.label.consent.text}")
    return found.to_json()


def made(opened: OpenVault, person: Person, args: argparse.Namespace, terminal: Terminal) -> Prepared:
    """Prepare a person as the flags say, and tell all but the consent."""
    from twinloop.stages.vault.dataset.label import needed_label
    from twinloop.stages.vault.dataset.prep import PrepOptions, prep

    work = captioning.planned(args, opened, person, needed_label(opened, person), terminal)
    found = prep(opened, work, PrepOptions(args.layout, args.repeats, args.output), terminal)
    for line in lines(found):
        terminal.line(line)
    for line in configuration_lines(found):
        terminal.line(line)
    findings.say_audit(found.captions, terminal, found.carried_without_trigger)
    return found


def lines(found: Prepared) -> list[str]:
    """What prep did, for people."""
    captions = found.captions
    changed = (
        f"{plural(found.written, 'file')} written" + (f", {len(found.removed)} removed" if found.removed else "")
        if found.written or found.removed
        else "nothing changed"
    )
    shown = [f"{found.folder}: {plural(found.pictures, 'picture')} ({found.layout}); {changed}"]
    if found.made_way is not None:
        shown.append("The training set of {} that lay here is now in {}".format(*found.made_way))
    if found.was is not None:
        shown.append(f"Moved here, as the name changed: {found.was}")
    shown += [
        f"Also of this person, from before: {path}. Delete it when nothing needs it any more." for path in found.also
    ]
    if found.others:
        more = f" and {len(found.others) - 1} more" if len(found.others) > 1 else ""
        shown.append(
            f"Note: {found.others[0]}{more} in this folder {'are' if more else 'is'} not of this training set; a"
            f" trainer takes {'them' if more else 'it'}, too"
        )
    shown += [f"Yours from now on: {name}" for name in found.adopted]
    shown += [f"Left alone, because you changed it: {name}" for name in found.kept]
    shown += findings.beside_lines(captions)
    shown += findings.not_tags_lines(captions)
    shown += findings.unused_lines(captions)
    shown += findings.date_lines(captions.cutting, found.undated)
    if found.taken_in or found.by_hand.left_out:
        shown.append(f"Chosen by hand: {found.taken_in} taken in, {len(found.by_hand.left_out)} left out")
    shown += findings.copy_lines(found.left_out)
    shown += findings.left_out_lines(found.left_out)
    shown += findings.remark_lines(found.remarks)
    shown += findings.several_faces_lines(captions.captions)
    shown += _carried_lines(found)
    shown += _readiness_lines(found.readiness)
    return shown


def configuration_lines(found: Prepared) -> list[str]:
    """Configurations here whose ``dataset_dir`` names a place that the training set, or another's, no longer has."""
    from twinloop.cli.vault.configured import names_of_earlier_place, names_of_place

    shown = []
    if paths := names_of_earlier_place(found.folder):
        verb = agree(len(paths), "names", "name")
        shown.append(
            f"{', '.join(paths)} still {verb} the earlier place of this training set. Write there:"
            f' "dataset_dir": "{found.folder.as_posix()}"'
        )
    if found.made_way is not None and (paths := names_of_place(found.folder)):
        place = found.made_way[1].as_posix()
        shown.append(
            f"{', '.join(paths)} {agree(len(paths), 'names', 'name')} {found.folder}, which is another person's now."
            f' For the one whose it was, write there: "dataset_dir": "{place}"'
        )
    return shown


def _carried_lines(found: Prepared) -> list[str]:
    """Pictures whose photos are gone, and photos that are gone without a picture."""
    gone = len(found.carried) - found.unread
    shown = []
    if gone:
        shown.append(
            f"{plural(gone, 'picture of a photo that is', 'pictures of photos that are')} no longer there"
            f" {agree(gone, 'is', 'are')} used, too"
        )
    elif found.gone:
        lost = plural(found.gone, "photo of this person is", "photos of this person are")
        shown.append(f"{lost} no longer there, and no picture of {agree(found.gone, 'it', 'them')} is")
    if found.unread:
        shown.append(
            f"{plural(found.unread, 'picture of a photo that cannot be', 'pictures of photos that cannot be')} read now"
            f" {agree(found.unread, 'is', 'are')} used as {agree(found.unread, 'it is', 'they are')}"
        )
    return shown


def _readiness_lines(readiness: Readiness) -> list[str]:
    """The grade with what it stands on; hints by themselves."""
    lines = [f"Readiness: {readiness.text}", *(f"  - {finding.text}" for finding in readiness.weak)]
    return lines + (["Hints:", *(f"  - {finding.text}" for finding in readiness.hints)] if readiness.hints else [])


COMMAND = Command("prep", "Cut, caption and write a person's training set, and grade it.", configure, run)
