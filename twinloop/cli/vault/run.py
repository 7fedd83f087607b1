"""``twinloop vault run``: scan, cluster, dedup, label, caption and prep, one after the other."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.cli.vault import captioning, cluster, dedup, flags, label, prep, scan
from twinloop.domain.names import normal
from twinloop.domain.wording import plural, some
from twinloop.errors import InputError, NothingToDo
from twinloop.system import shell

if TYPE_CHECKING:
    from twinloop.domain.vault import Person
    from twinloop.stages.vault.dataset.prep import Prepared
    from twinloop.stages.vault.dataset.whom import Meant
    from twinloop.stages.vault.opened import OpenVault
    from twinloop.stages.vault.people.without_face import Account
    from twinloop.store.vault.folder import Vault

SHOWN = 5


def configure(parser: argparse.ArgumentParser) -> None:
    scan.configure(parser)
    parser.add_argument(
        "--person", required=True, metavar="NAME", help="whose training set it is; also the name of its folder"
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="PHOTO",
        help="a photo of the person alone (default: who has this name, else who is clearly on most photos)",
    )
    parser.add_argument(
        "--everything",
        action="store_true",
        help=(
            "all photos of the folders are of this one character, robot or animal: nobody is told apart, and pictures"
            " without a face are used whole"
        ),
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
    flags.add_cutting(parser, min_face="--min-face-cut")
    flags.add_captioning(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.stages.vault.copies.dedup import dedup as find_copies
    from twinloop.stages.vault.copies.dedup import options_for
    from twinloop.stages.vault.dataset.whom import earlier_photos, named_last
    from twinloop.stages.vault.opening import open_vault
    from twinloop.stages.vault.people.record import read_people
    from twinloop.stages.vault.people.without_face import account
    from twinloop.stages.vault.second_names import called_in

    name = normal(args.person)
    _check(args, name)
    _title(terminal, "Scan")
    scanned = scan.scanned(args, terminal, identities=not args.everything)
    if not scanned.counts.photos:
        raise NothingToDo(f"No photo of {some(scanned.folders)} can be read, so there is nobody to find.")
    with open_vault(args.vault) as opened:
        args.folders = [called_in(opened.record.folders, folder) for folder in args.folders]
        clustered, meant = (_taken_whole if args.everything else _told_apart)(opened, name, args, terminal)
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
        used = made.files.keys() | {item.photo for item in made.carried}
        people = read_people(opened.vault)
        counted = account(opened, people, person, used, args.folders)
        names = {other.id: other.name for other in people.persons if other.name is not None}
        for line in _account_lines(counted, person, names, opened.vault):
            terminal.line(line)
        models_dir = args.models_dir or opened.record.models_dir
        undo = f"{plural(named_last(opened, person), 'time')}: {opened.vault.command('undo')}"
    if meant.guessed:
        terminal.line("")
        terminal.warn(_guess(name, meant, undo))
    terminal.line(f"\nTraining set: {made.folder} ({made.readiness.text})")
    terminal.line(f"Next: {_next(made, name, models_dir)}")
    return {
        "scan": scanned.to_json(),
        "cluster": clustered,
        "dedup": dedup.counts(copies),
        "person": person.id,
        "prep": made.to_json(),
        "account": counted.to_json(),
    }


def _told_apart(
    opened: OpenVault, name: str, args: argparse.Namespace, terminal: Terminal
) -> tuple[dict[str, Any], Meant]:
    """Who is who among the faces, and which of them is meant."""
    from twinloop import wiring
    from twinloop.stages.vault.dataset.whom import person_meant
    from twinloop.stages.vault.people.cluster import ClusterOptions
    from twinloop.stages.vault.people.cluster import cluster as tell_apart
    from twinloop.stages.vault.people.without_face import without_face

    _title(terminal, "Cluster")
    found = tell_apart(opened, ClusterOptions(args.limit, args.min_faces), wiring.build_neighbour_search, terminal)
    bare = tuple(without_face(opened, found.people).values())
    called = cluster.called_lines(found.people, opened.vault)
    _say(terminal, [*cluster.lines_of(found), *called, *cluster.without_face_lines(bare, opened.vault)])
    meant = person_meant(opened, found.people, name, args.reference, args.folders)
    return {**found.to_json(), "without_face": len(bare)}, meant


def _taken_whole(
    opened: OpenVault, name: str, args: argparse.Namespace, terminal: Terminal
) -> tuple[dict[str, Any], Meant]:
    """All photos of the folders are of one character."""
    from twinloop.stages.vault.dataset.whom import Meant
    from twinloop.stages.vault.people.everything import forgotten_line, take_everything

    _title(terminal, "Everything")
    found = take_everything(opened, name, args.folders, lambda person: _check_place(opened, person, name, args))
    here = plural(found.photos - found.others - found.forgotten, "photo")
    lines = [f"{here} of one character, {found.without_face} of them whole, because no face was found"]
    if found.others:
        lines.append(f"{plural(found.others, 'photo stays', 'photos stay')} somebody else's, as was said before")
    if found.forgotten:
        lines.append(forgotten_line(found.forgotten))
    _say(terminal, lines)
    why = "is new" if found.person.name is None else "has this name"
    return found.to_json(), Meant(found.person, f"{why}, and on everything here")


def _account_lines(found: Account, person: Person, names: Mapping[str, str], vault: Vault) -> list[str]:
    """What became of the photos, where some are neither in the training set nor left out of it with a reason.

    Args:
        names: by id, of those whom the user gave one, so that nobody else is meant.
    """
    from twinloop.stages.vault.people.without_face import STRANGERS

    if not found.without_face and not found.elsewhere and not found.forgotten:
        return []
    parts = [f"{found.used} in the training set"]
    parts += [f"{found.left_out} left out"] if found.left_out else []
    parts += [f"{found.without_face} without a face that was found"] if found.without_face else []
    parts += [f"{found.forgotten} of somebody who was forgotten"] if found.forgotten else []
    known = sorted((who for who in found.elsewhere if who != STRANGERS), key=lambda who: -found.elsewhere[who])
    parts += [
        f"{found.elsewhere[who]} of {names[who]} ({who})" if who in names else f"{found.elsewhere[who]} of {who}"
        for who in known[:SHOWN]
    ]
    if rest := known[SHOWN:]:
        parts += [f"{sum(found.elsewhere[who] for who in rest)} of {plural(len(rest), 'other person', 'other people')}"]
    parts += [f"{found.elsewhere[STRANGERS]} of {STRANGERS}"] if STRANGERS in found.elsewhere else []
    lines = ["", f"What became of {plural(found.photos, 'picture')}: {', '.join(parts)}"]
    if unnamed := [who for who in known if who not in names]:
        merge = vault.command(f"merge {' '.join([person.id, *unnamed[:2]])}")
        lines.append(f"  Should some be the same person or character: {merge}; if all are, run this with --everything")
    return lines


def _guess(name: str, meant: Meant, undo: str) -> str:
    """Nobody said who of several people is meant: the one thing to look at before a training. ``undo``: how to take
    name and label back.
    """
    return (
        f"{name} was taken to be {meant.person.id}, who {meant.why}. Look at the pictures. Should it be somebody else,"
        f" take the name back first ({undo}), then run this again with --reference PHOTO, a photo that shows {name}"
        " alone"
    )


def _next(made: Prepared, name: str, models_dir: str) -> str:
    """The command that goes on from here to a training: a run, where a configuration here is for this training set;
    else one that writes it.
    """
    from twinloop.cli.vault.configured import training_on

    if known := training_on(made.folder):
        path, stale = known
        return shell.join(["twinloop", "run", "--config", str(path), *(["--restart"] if stale else [])])
    words = ["twinloop", "init", "--person-name", name, "--dataset-dir", str(made.folder)]
    if os.path.abspath(models_dir) != os.path.abspath("models"):
        words += ["--models-dir", models_dir]
    return shell.join([*words, "--output", _config_name(name)])


def _config_name(name: str) -> str:
    """The usual name if it is free, else one with the person's."""
    own = f"bootstrap_config_{name.replace(' ', '_')}"
    names = [f"{stem}.json" for stem in ("bootstrap_config", own, *(f"{own}_{number}" for number in range(2, 10)))]
    return next((name for name in names if not Path(name).exists()), names[-1])


def _check(args: argparse.Namespace, name: str) -> None:
    """Raises an error for flags that cannot be: now, and not after an hour of scanning."""
    from twinloop.domain.captions import one_line
    from twinloop.stages.vault.dataset.label import check
    from twinloop.store.atomic import check_writable_folder
    from twinloop.store.vault.folder import Vault

    Vault(args.vault).person(name)
    if args.everything and not args.folders:
        raise InputError(f"--everything: name the folders in which all photos are of {name}.")
    if args.everything and (args.reference, args.limit, args.min_faces) != (None, None, None):
        raise InputError(
            "--everything takes all photos for one character's, so --reference, --limit and --min-faces say nothing"
            " with it. Leave them out, or leave out --everything."
        )
    # what no flag says may stand in an earlier label
    trigger = "ohwx" if args.trigger is None else args.trigger
    word = label.CLASS_WORD if args.class_word is None else args.class_word
    check(one_line(trigger), one_line(word), label.consent_of(args))
    if args.reference is not None:
        _check_reference(args, name)
    if args.output is not None:
        check_writable_folder(args.output)
        _check_apart(args)
    captioning.check(args, args.vault, name)


def _check_apart(args: argparse.Namespace) -> None:
    """Raises InputError: the training set is to go among the photos that the scan will see."""
    from twinloop.stages.vault.dataset.folder.apart import check_apart
    from twinloop.store.vault.folder import Vault

    removed = set(map(os.path.abspath, args.remove))
    check_apart(Vault(args.vault), [root for root in _roots(args) if root not in removed], args.output)


def _roots(args: argparse.Namespace) -> list[str]:
    """The folders of earlier scans and of this one."""
    from twinloop.stages.vault.opened import ScanRecord
    from twinloop.store.vault.folder import Vault

    vault = Vault(args.vault)
    known = ScanRecord.read(vault).folders if vault.scan_record.exists() else ()
    return [os.path.abspath(folder) for folder in (*known, *args.folders)]


def _check_reference(args: argparse.Namespace, name: str) -> None:
    """Raises InputError: the reference is no file, or none that the scan will see."""
    from twinloop.stages.vault.second_names import called_in

    reference, roots = args.reference, _roots(args)
    if not reference.is_file():
        raise InputError(f"--reference {reference}: there is no such file. Name a photo that shows {name} alone.")
    names = (Path(os.path.abspath(reference)), called_in(roots, reference))
    if not any(name.is_relative_to(root) for name in names for root in roots):
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
    from twinloop.stages.vault.dataset.label import label as write_down
    from twinloop.stages.vault.dataset.label import label_of
    from twinloop.stages.vault.people.record import find_person, read_people

    before = label_of(opened.decisions, person.id)
    options = label.options_over(before, args, f"ohwx {name}", _new_name(person, name))
    done = write_down(opened, person, options, captioning.style_for(opened, person, args.style))
    for text in done.warnings:
        terminal.warn(text)
    terminal.line(f"{person.id}: prompts begin with '{done.to_json()['prompt']}'")
    if options.consent.kind is not None:  # else a warning says it
        terminal.line(f"Consent: {options.consent.text}")
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
