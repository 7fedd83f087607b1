"""What ``caption`` and ``prep`` share: their arguments, the ruler and the captioner, and how findings are printed."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli import options
from twinloop.cli.argument_types import positive
from twinloop.cli.terminal import Terminal
from twinloop.domain.choices import (
    CAPTION_STYLES,
    CAPTION_WORDS,
    CAPTIONERS,
    FRAMINGS,
    MOST_CAPTION_WORDS,
    OWN_CAPTIONS,
    Subject,
)
from twinloop.domain.dates import ANY, is_date
from twinloop.domain.wording import agree, plural, some
from twinloop.errors import InputError

if TYPE_CHECKING:
    from twinloop.domain.vault import Label, Person
    from twinloop.ports import Captioner
    from twinloop.stages.vault.dataset.caption import Captioned, Captioning, CaptionOptions, Captions, Writer
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
        type=positive,
        metavar="PX",
        help=(
            "pictures have at most PX x PX pixels, with sides of multiples of 64, of small photos 8 (default: as in the"
            " last run, else 1024)"
        ),
    )
    parser.add_argument(
        "--framing",
        choices=FRAMINGS,
        help="how much of the person: head, half, whole, or as photographed (default: as in the last run, else keep)",
    )
    parser.add_argument(
        "--max-photos",
        type=positive,
        metavar="N",
        help="the best N photos, spread over the angles; said anew each time (default: all)",
    )
    parser.add_argument(
        min_face,
        dest="min_face_cut",
        type=positive,
        metavar="PX",
        help=(
            "least height of a face that is worth training on, in pixels of the photo (default: as in the last run,"
            " else 64)"
        ),
    )
    parser.add_argument(
        "--keep-alike",
        action=argparse.BooleanOptionalAction,
        default=None,
        help=(
            "also use pictures that are nearly the same as others, such as one pose with several expressions; files of"
            " the same bytes count once (default: as in the last run, else leave copies out)"
        ),
    )
    add_dates(parser)


def add_dates(parser: argparse.ArgumentParser) -> None:
    """Of what time pictures are. None = as in the last run, else of any."""
    for flag, end in (("--since", "first"), ("--until", "last")):
        parser.add_argument(
            flag,
            type=_date,
            metavar="YYYY[-MM[-DD]]",
            help=(
                f"the {end} day, month or year, itself included, of which photos are used; any = no such limit; photos"
                " without a date are used (default: as in the last run, else any)"
            ),
        )


def _date(text: str) -> str:
    if text != ANY and not is_date(text):
        raise argparse.ArgumentTypeError(f"expected YYYY, YYYY-MM, YYYY-MM-DD or {ANY}, not '{text}'")
    return "" if text == ANY else text


def add_captioning(parser: argparse.ArgumentParser) -> None:
    """How captions are written. None = as in the last run, else the default."""
    parser.add_argument(
        "--style",
        choices=CAPTION_STYLES,
        help="phrases for SDXL and Flux, or tags for Animagine and its kin (default: as in the last run, else prose)",
    )
    parser.add_argument(
        "--captioner",
        choices=CAPTIONERS,
        help="who adds words to what was measured (default: as in the last run, else template, nobody)",
    )
    parser.add_argument(
        "--captioner-model",
        metavar="PATH",
        help=(
            "folder of the captioner (wd14: model.onnx and selected_tags.csv), a hub id (blip, florence2), or the name"
            " that the server knows it by (openai; else the only one there) (default: the last run's, where the"
            " captioner is the same)"
        ),
    )
    _add_server(parser)
    parser.add_argument(
        "--max-words",
        type=_caption_words,
        metavar="N",
        help=(
            f"most words of a caption to which a captioner adds, up to {MOST_CAPTION_WORDS}; CLIP, of SDXL and SD 1.5,"
            f" reads about 50 at once (default: as in the last run, else {CAPTION_WORDS})"
        ),
    )
    parser.add_argument(
        "--own-captions",
        choices=OWN_CAPTIONS,
        help=(
            "captions in files beside the photos (.txt, .caption, metadata.jsonl) are used, with the trigger in front,"
            " or measured ones are written instead (default: as in the last run, else use)"
        ),
    )
    options.add_facets(parser)
    options.add_device(parser)


def _add_server(parser: argparse.ArgumentParser) -> None:
    """Of the captioner that another program serves."""
    parser.add_argument(
        "--captioner-url",
        metavar="URL",
        help=(
            "of openai: where a program on this machine answers as OpenAI's chat completions do, such as"
            " http://127.0.0.1:1234/v1 (LM Studio, Ollama, llama.cpp, vLLM; default: as in the last run)"
        ),
    )
    parser.add_argument(
        "--captioner-prompt",
        metavar="TEXT",
        help='of openai: what it is asked about each picture; "" = the built-in question (default: as in the last run)',
    )
    parser.add_argument(
        "--captioner-anywhere",
        action="store_true",
        help="of openai: the address may be another machine, to which the pictures are then sent; said anew each time",
    )


def _caption_words(text: str) -> int:
    number = positive(text)
    if number > MOST_CAPTION_WORDS:
        raise argparse.ArgumentTypeError(f"expected {MOST_CAPTION_WORDS} at most, got {number}")
    return number


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
    return Captioning(person, label, choice, wanted, _writer_for(opened, args, wanted, label))


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


def beside_lines(found: Captions) -> list[str]:
    """How many captions lie beside the photos."""
    if not found.beside:
        return []
    ignore = "--own-captions ignore writes measured ones instead"
    more = f"; {found.more_lines} with more lines, of which the first counts" if found.more_lines else ""
    return [f"Captions from files beside the photos: {found.beside}{more} ({ignore})"]


def say_audit(found: Captions, terminal: Terminal) -> None:
    """What should be known of the captions before they are trained on."""
    for line in not_described_lines(found):
        terminal.warn(line)
    for constant in found.audit:
        terminal.warn(constant.text)
    bare = found.without_trigger
    if bare:
        more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
        terminal.warn(
            f"your own caption of {bare[0]}{more} lacks the trigger '{found.label.trigger}': what it shows will not be"
            " learned as this person. Add the trigger to the text."
        )


def not_described_lines(found: Captions) -> list[str]:
    """On which pictures the captioner failed, and why, in one text; [] = on none."""
    failed = found.not_described
    if not failed:
        return []
    lines = [
        f"{found.options.captioner} said nothing of {plural(len(failed), 'picture')}; there the caption says only what"
        " was measured. The same command asks again."
    ]
    lines += [f"  - {item.cut.photo.paths[0]}: {item.failure}" for item in failed[:SHOWN]]
    return ["\n".join(lines + ([f"  - and {len(failed) - SHOWN} more, all in the JSON"] if failed[SHOWN:] else []))]


def left_out_lines(left_out: Sequence[LeftOut]) -> list[str]:
    """How many, why (reasons counted without their figures), and the first ones by name."""
    if not left_out:
        return []
    lines = [f"Left out: {len(left_out)}"]
    lines += [f"  - {item.photo.paths[0]}: {item.reason}" for item in left_out[:SHOWN]]
    return lines + ([f"  - and {len(left_out) - SHOWN} more, all in the JSON"] if len(left_out) > SHOWN else [])


def date_lines(cutting: CutOptions, undated: int) -> list[str]:
    """Of what time the photos are, where that was asked for, and how many have no date."""
    if not cutting.since and not cutting.until:
        return []
    span = " ".join(f"{word} {text}" for word, text in (("since", cutting.since), ("until", cutting.until)) if text)
    return [f"Only photos taken {span}; of those used, {undated} {agree(undated, 'has', 'have')} no date."]


def several_faces_lines(captions: Sequence[Captioned]) -> list[str]:
    """That several faces are left on pictures: of one character drawn more than once, or of other people."""
    count = sum(item.cut.window.others > 0 for item in captions)
    if not count:
        return []
    return [
        f"{plural(count, 'picture shows', 'pictures show')} several faces. Of a character sheet, save the single"
        " figures as pictures of their own and scan those; of other people, cut them off."
    ]


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
