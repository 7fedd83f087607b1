"""The flags of ``caption`` and ``prep``: how pictures are cut, and how captions are written."""

from __future__ import annotations

import argparse

from twinloop.cli import options
from twinloop.cli.argument_types import positive
from twinloop.domain.choices import (
    CAPTION_STYLES,
    CAPTION_WORDS,
    CAPTIONERS,
    FRAMINGS,
    MOST_CAPTION_WORDS,
    OWN_CAPTIONS,
)
from twinloop.domain.dates import ANY, is_date


def add_cutting(parser: argparse.ArgumentParser, min_face: str = "--min-face") -> None:
    """How pictures are cut.

    None = as in the last run, else the default. ``min_face``: name of that flag, where the scan's own has it.
    """
    parser.add_argument(
        "--size",
        type=positive,
        metavar="PX",
        help=(
            "pictures have PX x PX pixels at most; their sides are multiples of 64, for small photos of 8 (default: as"
            " in the last run, else 1024)"
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
        help="the best N photos, spread over the angles; give it again each time (default: all)",
    )
    parser.add_argument(
        min_face,
        dest="min_face_cut",
        type=positive,
        metavar="PX",
        help=(
            "lowest height of a face that is worth training on, in pixels of the photo (default: as in the last run,"
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
                f"the {end} day, month or year, itself included, from which photos are used; any = no such limit;"
                " photos without a date are used (default: as in the last run, else any)"
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
        help="what adds words to the measured ones (default: as in the last run, else template, which adds none)",
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
            f"a captioner adds to a caption up to N words in all, {MOST_CAPTION_WORDS} at most; CLIP, of SDXL and SD"
            f" 1.5, reads about 50 at once (default: as in the last run, else {CAPTION_WORDS})"
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
    options.add_device(parser, fetched="the captioner's model")


def _add_server(parser: argparse.ArgumentParser) -> None:
    """Of the captioner that another program serves."""
    parser.add_argument(
        "--captioner-url",
        metavar="URL",
        help=(
            "for openai: where a program on this machine answers as OpenAI's chat completions do, such as"
            " http://127.0.0.1:1234/v1 (LM Studio, Ollama, llama.cpp, vLLM; default: as in the last run)"
        ),
    )
    parser.add_argument(
        "--captioner-prompt",
        metavar="TEXT",
        help='for openai: what to ask about each picture; "" = the built-in question (default: as in the last run)',
    )
    parser.add_argument(
        "--captioner-anywhere",
        action="store_true",
        help="for openai: the address may be another machine, to which the pictures are then sent; needed each time",
    )


def _caption_words(text: str) -> int:
    number = positive(text)
    if number > MOST_CAPTION_WORDS:
        raise argparse.ArgumentTypeError(f"expected {MOST_CAPTION_WORDS} at most, got {number}")
    return number
