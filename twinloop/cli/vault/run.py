"""``twinloop vault run``: scan, cluster, dedup, label, caption and prep, one after the other."""

from __future__ import annotations

import argparse
import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.cli.vault import cluster, dedup, label, making, prep, scan
from twinloop.domain.names import normal
from twinloop.domain.wording import some
from twinloop.errors import InputError, NothingToDo

if TYPE_CHECKING:
    from twinloop.domain.vault import Person
    from twinloop.stages.vault.dataset.prep import Prepared
    from twinloop.stages.vault.dataset.whom import Meant
    from twinloop.stages.vault.opened import OpenVault


def configure(parser: argparse.ArgumentParser) -> None:
    scan.configure(parser)
    parser.add_argument(
        "--person", required=True, metavar="NAME", help="whose training set; the name of its folder, too"
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="PHOTO",
        help="a photo of the person alone (default: who has this name, else who is clearly on most photos)",
    )
    parser.add_argument(
        "--trigger",
        metavar="WORDS",
        help="what calls the person in a prompt (default: what was said before, else 'ohwx NAME')",
    )
    label.add_class_word(parser)
    label.add_consent(parser)
    cluster.add_clustering(parser)
    prep.add_layout(parser)
    making.add_cutting(parser, min_face="--min-face-cut")
    making.add_captioning(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop import wiring
    from twinloop.stages.vault.copies.dedup import dedup as find_copies
    from twinloop.stages.vault.copies.dedup import options_for
    from twinloop.stages.vault.dataset.whom import earlier_photos, person_meant
    from twinloop.stages.vault.opening import open_vault
    from twinloop.stages.vault.people.cluster import ClusterOptions
    from twinloop.stages.vault.people.cluster import cluster as tell_apart

    name = normal(args.person)
    _check(args, name)
    _title(terminal, "Scan")
    scanned = scan.run(args, terminal, identities=True)
    if not scanned["photos"]:
        raise NothingToDo(f"No photo of {some(scanned['folders'])} can be read, so there is nobody to find.")
    with open_vault(args.vault) as opened:
        _title(terminal, "Cluster")
        people = tell_apart(opened, ClusterOptions(args.limit, args.min_faces), wiring.build_neighbour_search, terminal)
        _say(terminal, cluster.lines_of(people))
        meant = person_meant(opened, people.people, name, args.reference, args.folders)
        earlier = earlier_photos(opened, meant.person, args.folders)
        terminal.line(f"{name}: {meant.person.id}, who {meant.why}{earlier and f'; {earlier}'}")
        _check_place(opened, meant.person, name, args)
        _title(terminal, "Dedup")
        copies = find_copies(opened, options_for(opened.vault, None, None), terminal)
        _say(terminal, dedup.summary(copies, opened.vault))
        _title(terminal, "Label")
        person = _labelled(opened, meant.person, name, args, terminal)
        _title(terminal, "Caption and prep")
        made = prep.made(opened, person, args, terminal)
        models_dir = args.models_dir or opened.record.models_dir
    if meant.guessed:
        terminal.line("")
        terminal.warn(_guess(name, meant))
    terminal.line(f"\nTraining set: {made.folder} ({made.readiness.text})")
    if not Path(_config_name(name)).exists():
        terminal.line(f"Next: {_next(made, name, models_dir)}")
    return {
        "scan": scanned,
        "cluster": people.to_json(),
        "dedup": dedup.counts(copies),
        "person": person.id,
        "prep": made.to_json(),
    }


def _guess(name: str, meant: Meant) -> str:
    """Nobody said who of several people is meant: the one thing to look at before a training."""
    return (
        f"{name} was taken to be {meant.person.id}, who {meant.why}. Look at the pictures. Should it be somebody else, "
        f"run this again with --reference PHOTO, a photo that shows {name} alone"
    )


def _next(made: Prepared, name: str, models_dir: str) -> str:
    """The command that goes on from here to a training: a configuration for this person."""
    words = ["twinloop", "init", "--person-name", name, "--dataset-dir", str(made.folder)]
    if os.path.abspath(models_dir) != os.path.abspath("models"):
        words += ["--models-dir", models_dir]
    return shlex.join([*words, "--output", _config_name(name)])


def _config_name(name: str) -> str:
    return f"bootstrap_config_{name.replace(' ', '_')}.json"


def _check(args: argparse.Namespace, name: str) -> None:
    """Raises an error for flags that cannot be: now, and not after an hour of scanning."""
    from twinloop.domain.captions import one_line
    from twinloop.stages.vault.dataset.label import check
    from twinloop.store.atomic import check_writable_folder
    from twinloop.store.vault import Vault

    Vault(args.vault).person(name)
    # what no flag says may stand in an earlier label
    trigger = "ohwx" if args.trigger is None else args.trigger
    word = label.CLASS_WORD if args.class_word is None else args.class_word
    check(one_line(trigger), one_line(word), label.consent_of(args))
    if args.reference is not None:
        _check_reference(args, name)
    if args.output is not None:
        check_writable_folder(args.output)
    making.check(args, args.vault, name)


def _check_reference(args: argparse.Namespace, name: str) -> None:
    """Raises InputError: the reference is no file, or none that the scan will see."""
    from twinloop.stages.vault.opened import ScanRecord
    from twinloop.store.vault import Vault

    vault, reference = Vault(args.vault), args.reference
    if not reference.is_file():
        raise InputError(f"--reference {reference}: there is no such file. Name a photo that shows {name} alone.")
    known = ScanRecord.read(vault).folders if vault.scan_record.exists() else ()
    roots = [os.path.abspath(folder) for folder in (*known, *args.folders)]
    if not any(Path(os.path.abspath(reference)).is_relative_to(root) for root in roots):
        raise InputError(
            f"--reference {reference} lies in none of the scanned folders. Name one of their photos, one that shows"
            f" {name} alone."
        )


def _check_place(opened: OpenVault, person: Person, name: str, args: argparse.Namespace) -> None:
    """Raises an error where this person could not be prepared under that name, before anything is written down."""
    from twinloop.stages.vault.dataset.choose import check_shown
    from twinloop.stages.vault.dataset.folder import location

    check_shown(opened, person)
    location.check(opened, replace(person, name=_new_name(person, name) or person.name), args.output)


def _new_name(person: Person, name: str) -> str | None:
    """What the person is to be called from now on; None = as until now."""
    from twinloop.stages.vault.people.membership import looks_like_id

    return name if person.name is None and not looks_like_id(name) else None


def _labelled(opened: OpenVault, person: Person, name: str, args: argparse.Namespace, terminal: Terminal) -> Person:
    """What was said before stands where no flag says otherwise."""
    from twinloop.stages.vault.dataset.label import LabelOptions, label_of
    from twinloop.stages.vault.dataset.label import label as write_down
    from twinloop.stages.vault.people.record import find_person, read_people

    before = label_of(opened.decisions, person.id)
    trigger = args.trigger or (before.trigger if before else f"ohwx {name}")
    word = args.class_word or (before.class_word if before else label.CLASS_WORD)
    consent = label.consent_of(args) if args.consent or before is None else before.consent
    done = write_down(opened, person, LabelOptions(trigger, word, consent, _new_name(person, name)))
    for text in done.warnings:
        terminal.warn(text)
    terminal.line(f"{person.id}: prompts begin with '{done.to_json()['prompt']}'")
    if consent.kind is not None:  # else a warning says it
        terminal.line(f"Consent: {consent.text}")
    return find_person(read_people(opened.vault), person.id)


def _title(terminal: Terminal, text: str) -> None:
    terminal.line(f"\n{text}")


def _say(terminal: Terminal, lines: list[str]) -> None:
    for line in lines:
        terminal.line(f"  {line}" if line else line)


COMMAND = Command(
    "run",
    "From a folder of photos to one person's training set: scan, cluster, dedup, label, caption, prep.",
    configure,
    run,
)
