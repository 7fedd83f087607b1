"""From the flags of ``caption`` and ``prep`` to what is captioned and how, with the ruler and the captioner."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.terminal import Terminal
from twinloop.cli.vault.options import person_of
from twinloop.domain.choices import Subject
from twinloop.domain.wording import some
from twinloop.errors import InputError, StateError

if TYPE_CHECKING:
    from twinloop.domain.vault import Label, Person
    from twinloop.ports import Captioner
    from twinloop.stages.vault.copies.of_person import Copies
    from twinloop.stages.vault.dataset.caption import Captioning, CaptionOptions, Writer
    from twinloop.stages.vault.dataset.cut import CutOptions
    from twinloop.stages.vault.opened import OpenVault


def planned(
    args: argparse.Namespace, opened: OpenVault, person: Person, label: Label, terminal: Terminal
) -> Captioning:
    """What is captioned and how: the flags over what the last run had; another captioner needs its own model.

    Raises:
        InputError, NothingToDo, StateError: as `choose`. MissingExtra, MissingModel, ModelFileError: as opening the
            ruler and the captioner.
    """
    from twinloop.stages.vault.dataset.caption import Captioning, last_options
    from twinloop.stages.vault.dataset.choose import choose

    cutting, wanted = _with_flags(args, *last_options(opened, person))
    choice = choose(opened, person, _copies_of(opened, person, terminal), cutting)
    return Captioning(person, label, choice, wanted, _writer_for(opened, args, wanted, label))


def style_for(opened: OpenVault, person: Person, asked: str | None = None) -> str:
    """The style of captions: as asked, else that of the last run."""
    from twinloop.stages.vault.dataset.caption import CaptionOptions, last_options

    try:
        return asked or last_options(opened, person)[1].style
    except StateError:  # who captions says what is wrong with the record
        return CaptionOptions().style


def _with_flags(
    args: argparse.Namespace, cutting: CutOptions, captions: CaptionOptions
) -> tuple[CutOptions, CaptionOptions]:
    """The flags over these."""
    cuts = {"framing": args.framing, "size": args.size, "max_photos": args.max_photos, "min_face": args.min_face_cut}
    cuts |= {"since": args.since, "until": args.until}
    cuts["keep_alike"] = args.keep_alike
    said = {"style": args.style, "captioner": args.captioner, "model": args.captioner_model}
    said["own_captions"] = args.own_captions
    said |= {"captioner_url": args.captioner_url, "captioner_prompt": args.captioner_prompt}
    said["max_words"] = args.max_words
    if args.captioner is not None and args.captioner != captions.captioner:
        captions = replace(captions, model="", captioner_url="", captioner_prompt="")
    return replace(cutting, **_given(cuts)), replace(captions, **_given(said))


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if value is not None}


def _writer_for(opened: OpenVault, args: argparse.Namespace, wanted: CaptionOptions, label: Label) -> Writer:
    """The ruler that the scan used, without what detectors made for photos misread on a fictional character, and the
    captioner.
    """
    from twinloop import wiring
    from twinloop.stages.vault.dataset.caption import Writer

    subject: Subject = "character" if label.consent.kind == "fictional" else "person"
    observer = wiring.build_observer(opened.record.models_dir, args.facet or (), subject=subject)
    return Writer(observer, _captioner(args, wanted))


def _captioner(args: argparse.Namespace, wanted: CaptionOptions) -> Captioner | None:
    from twinloop import wiring

    _check_goes_with(args, wanted.captioner)
    server = wiring.CaptionServer(wanted.captioner_url, wanted.captioner_prompt, args.captioner_anywhere)
    return wiring.build_captioner(
        wanted.captioner, wanted.model, bool(args.allow_download), args.device or "auto", server
    )


def _check_goes_with(args: argparse.Namespace, captioner: str) -> None:
    """Raises InputError: flags that say nothing with this captioner."""
    given = {
        "--captioner-url": args.captioner_url is not None,
        "--captioner-prompt": args.captioner_prompt is not None,
        "--captioner-anywhere": args.captioner_anywhere,
    }
    if captioner != "openai" and any(given.values()):
        flags = some([flag for flag, is_given in given.items() if is_given])
        raise InputError(f"{flags}: only --captioner openai asks a server. Add that, or leave this out.")
    if captioner == "template" and args.max_words is not None:
        raise InputError("--max-words: says nothing without a captioner. Name one with --captioner, or leave it out.")


def check(args: argparse.Namespace, root: Path, person: str) -> None:
    """What the flags of `add_cutting` and `add_captioning` say, before an hour of work: sizes and dates that can be,
    plug-ins that run, a captioner whose files are there or whose server answers.

    Args:
        root: of the vault. person: by name or id; whoever is known there may have a captioner and its model from an
            earlier run.

    Raises:
        InputError: pictures that cannot be cut so. InputError, MissingExtra, MissingModel, MissingTool, ModelFileError,
            ToolFailed: as opening plug-ins and captioner.
    """
    from twinloop import wiring

    wiring.chosen_facets(args.facet or (), None)
    cutting, captions = _with_flags(args, *_last_options(root, person))
    cutting.check()
    wiring.check_captioner(_captioner(args, captions))


def _last_options(root: Path, person: str) -> tuple[CutOptions, CaptionOptions]:
    """What the last run for this person was made with, where the vault knows the person; else the defaults."""
    from twinloop.stages.vault.dataset.caption import CaptionOptions, last_options
    from twinloop.stages.vault.dataset.cut import CutOptions
    from twinloop.stages.vault.opening import looked_into
    from twinloop.store.vault.catalog import OtherVersion

    try:
        with looked_into(root) as opened:
            return last_options(opened, person_of(opened, person))
    except (InputError, OtherVersion):  # nothing was scanned, or nobody is called so yet; or the scan comes first
        return CutOptions(), CaptionOptions()


def _copies_of(opened: OpenVault, person: Person, terminal: Terminal) -> Copies:
    """The copies among the person's photos, searched again where photos or decisions changed since the last
    search.
    """
    from twinloop.stages.vault.copies.dedup import current
    from twinloop.stages.vault.copies.of_person import copies_of

    if opened.vault.duplicates.exists():
        current(opened, terminal)
    return copies_of(opened, person)
