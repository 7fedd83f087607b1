"""What ``caption`` and ``prep`` share: their arguments, the ruler and the captioner, and how findings are printed."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli import options
from twinloop.cli.terminal import Terminal
from twinloop.domain.choices import CAPTION_STYLES, CAPTIONERS, FRAMINGS
from twinloop.errors import InputError

if TYPE_CHECKING:
    from twinloop.domain.vault import Label, Person
    from twinloop.ports import Captioner
    from twinloop.stages.vault.dataset.caption import Captioning, CaptionOptions, Captions, Writer
    from twinloop.stages.vault.dataset.choose import LeftOut
    from twinloop.stages.vault.dataset.cut import CutOptions
    from twinloop.stages.vault.opened import OpenVault

SHOWN = 10


def add_cutting(parser: argparse.ArgumentParser, min_face: str = "--min-face") -> None:
    """How pictures are cut.

    None = as in the last run, else the default. ``min_face``: name of that flag, where the scan's own has it.
    """
    parser.add_argument(
        "--size",
        type=options.positive,
        metavar="PX",
        help="pictures have at most PX x PX pixels, with sides of multiples of 64, of small photos 8 (default: 1024)",
    )
    parser.add_argument(
        "--framing",
        choices=FRAMINGS,
        help="how much of the person: head, half, whole, or as photographed (default: keep)",
    )
    parser.add_argument(
        "--max-photos", type=options.positive, metavar="N", help="the best N photos, spread over the angles"
    )
    parser.add_argument(
        min_face,
        dest="min_face_cut",
        type=options.positive,
        metavar="PX",
        help="least height of a face that is worth training on, in pixels of the photo (default: 64)",
    )


def add_captioning(parser: argparse.ArgumentParser) -> None:
    """How captions are written. None = as in the last run, else the default."""
    parser.add_argument(
        "--style",
        choices=CAPTION_STYLES,
        help="phrases for SDXL and Flux, or tags for Animagine and its kin (default: prose)",
    )
    parser.add_argument(
        "--captioner",
        choices=CAPTIONERS,
        help="who adds words to what was measured (default: template, nobody)",
    )
    parser.add_argument(
        "--captioner-model",
        metavar="PATH",
        help="folder of the captioner (wd14: model.onnx and selected_tags.csv), or a hub id (blip, florence2)",
    )
    options.add_facets(parser)
    options.add_device(parser)


def captioning(
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
    return Captioning(person, label, choice, wanted, _writer_for(opened, args, wanted))


def _with_flags(
    args: argparse.Namespace, cutting: CutOptions, captions: CaptionOptions
) -> tuple[CutOptions, CaptionOptions]:
    """The flags over these."""
    cuts = {"framing": args.framing, "size": args.size, "max_photos": args.max_photos, "min_face": args.min_face_cut}
    said = {"style": args.style, "captioner": args.captioner, "model": args.captioner_model}
    if args.captioner is not None and args.captioner != captions.captioner and args.captioner_model is None:
        said["model"] = ""
    return replace(cutting, **_given(cuts)), replace(captions, **_given(said))


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if value is not None}


def _writer_for(opened: OpenVault, args: argparse.Namespace, wanted: CaptionOptions) -> Writer:
    """The ruler that the scan used, and the captioner."""
    from twinloop import wiring
    from twinloop.stages.vault.dataset.caption import Writer

    observer = wiring.build_observer(opened.record.models_dir, args.facet or ())
    return Writer(observer, _captioner(args, wanted))


def _captioner(args: argparse.Namespace, wanted: CaptionOptions) -> Captioner | None:
    from twinloop import wiring

    return wiring.build_captioner(wanted.captioner, wanted.model, bool(args.allow_download), args.device or "auto")


def check(args: argparse.Namespace, root: Path, person: str) -> None:
    """What the flags of `add_captioning` name, before an hour of work: plug-ins that run, a captioner whose files are
    there.

    Args:
        root: of the vault. person: by name or id; whoever is known there may have a captioner and its model from an
            earlier run.

    Raises:
        InputError, MissingExtra, MissingModel, ModelFileError: as opening them.
    """
    from twinloop import wiring

    wiring.chosen_facets(args.facet or (), None)
    asked = _with_flags(args, *_last_options(root, person))[1]
    _captioner(args, asked)


def _last_options(root: Path, person: str) -> tuple[CutOptions, CaptionOptions]:
    """What the last run for this person was made with, where the vault knows the person; else the defaults."""
    from twinloop.stages.vault.dataset.caption import CaptionOptions, last_options
    from twinloop.stages.vault.dataset.cut import CutOptions
    from twinloop.stages.vault.opening import looked_into

    try:
        with looked_into(root) as opened:
            return last_options(opened, person_of(opened, person))
    except InputError:  # nothing was scanned, or nobody is called so yet
        return CutOptions(), CaptionOptions()


def person_of(opened: OpenVault, text: str) -> Person:
    from twinloop.stages.vault.people.record import find_person, read_people

    return find_person(read_people(opened.vault), text)


def _copies_of(opened: OpenVault, person: Person, terminal: Terminal) -> dict[str, str]:
    """The person's photos that others stand for, searched again where photos or decisions changed since the last
    search.
    """
    from twinloop.stages.vault.copies.dedup import current
    from twinloop.stages.vault.copies.of_person import worse_copies

    if opened.vault.duplicates.exists():
        current(opened, terminal)
    return worse_copies(opened, person)


def say_audit(found: Captions, terminal: Terminal) -> None:
    """What should be known of the captions before they are trained on."""
    for constant in found.audit:
        terminal.warn(constant.text)
    bare = found.without_trigger
    if bare:
        more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
        terminal.warn(
            f"your own caption of {bare[0]}{more} lacks the trigger '{found.label.trigger}': what it shows will not be"
            " learned as this person. Add the trigger to the text."
        )


def left_out_lines(left_out: Sequence[LeftOut]) -> list[str]:
    """How many, why (reasons counted without their figures), and the first ones by name."""
    if not left_out:
        return []
    lines = [f"Left out: {len(left_out)}"]
    lines += [f"  - {item.photo.paths[0]}: {item.reason}" for item in left_out[:SHOWN]]
    return lines + ([f"  - and {len(left_out) - SHOWN} more, all in the JSON"] if len(left_out) > SHOWN else [])


def remark_lines(remarks: Iterable[tuple[str, str]]) -> list[str]:
    """Remarks on pictures, each text once with the number of pictures that it is about, each of them."""
    counted = Counter(text for _, text in remarks)
    first: dict[str, str] = {}
    for name, text in remarks:
        first.setdefault(text, name)
    return [
        f"Note on {first[text] if count == 1 else f'{count} pictures (such as {first[text]})'}: {text}"
        for text, count in counted.most_common(SHOWN)
    ]
