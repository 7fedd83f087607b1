"""``twinloop masks``: where each photo shows its subject, so that a training learns the person and not the room."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli import options
from twinloop.cli.argument_types import between
from twinloop.cli.command import Command
from twinloop.cli.settings_from_flags import add_setting, settings_from
from twinloop.cli.terminal import Terminal
from twinloop.domain.wording import agree, by_reason, plural, some
from twinloop.errors import InputError, NothingToDo, TwinLoopError

if TYPE_CHECKING:
    from twinloop.config import Settings
    from twinloop.manual import MaskOrder
    from twinloop.ports import Masker
    from twinloop.stages.make_masks import FaceFinder, MaskMade

GROW, BLUR = 0.01, 0.005
"""Usual edge, in shares of the longer side: hair that the network cuts off, and about a cell of a training."""
_MOST_PIXELS = 500
_pixels = between(0, _MOST_PIXELS, f"a share below 1, or pixels from 1 to {_MOST_PIXELS}")


def configure(parser: argparse.ArgumentParser) -> None:
    add_setting(
        parser,
        "dataset",
        field="dataset_dir",
        nargs="?",
        metavar="DATASET",
        help="folder of photos, or dataset_iterN.json of a run (or dataset_dir of --config)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help=(
            "where the masks go (default: training.masks of --config, else the name of the photos' folder, or of the"
            " record, with _masks at its end); the photos' folder itself = beside them, as NAME-masklabel.png"
        ),
    )
    parser.add_argument(
        "--model", type=Path, metavar="FILE", help="segmentation network (default: the finest of --models-dir)"
    )
    parser.add_argument(
        "--grow",
        type=_pixels,
        default=GROW,
        metavar="X",
        help=f"move the edge outwards: a share of the longer side, or pixels from 1 on (default: {GROW:g})",
    )
    parser.add_argument(
        "--blur",
        type=_pixels,
        default=BLUR,
        metavar="X",
        help=f"softness of the edge, likewise (default: {BLUR:g})",
    )
    parser.add_argument(
        "--everyone",
        action="store_true",
        help="keep all that the network marks, also other people; no face is looked for",
    )
    parser.add_argument("--again", action="store_true", help="remake masks that this command made earlier")
    options.add_models_dir(parser)
    options.add_subject(parser)
    options.add_config(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop import manual, wiring
    from twinloop.stages.make_masks import make_masks
    from twinloop.store.atomic import check_writable_folder, remove_leftovers

    if args.dataset is None and args.config is None:
        raise InputError("Which photos? Name their folder: twinloop masks DATASET, or give --config.")
    name = Path(args.dataset or ".").resolve().stem or "person"
    settings = settings_from(args, {"person_name": name, "person_trigger": name})
    order = manual.plan_masks(Path(settings.dataset_dir), args.output, settings)
    check_writable_folder(order.folder)
    drawn = settings.subject == "character"
    masker = wiring.build_masker(settings.models_dir, args.model, drawn, args.grow, args.blur)
    terminal.line(f"Network: {masker.name}")
    faces = _face_finder(args, settings, terminal)
    if order.folder.is_dir():
        remove_leftovers(order.folder)  # half-written masks of a command that was killed
    made = list(make_masks(order.places, masker, faces, args.again, terminal))
    _say(made, order, args.again, terminal)
    return _data(made, order, masker)


def _face_finder(args: argparse.Namespace, settings: Settings, terminal: Terminal) -> FaceFinder | None:
    """None where nobody's face is looked for. Without a face detector the masks are made all the same."""
    from twinloop import wiring

    if args.everyone or not settings.validation.faces:
        return None
    try:
        return wiring.build_face_finder(settings.models_dir)
    except TwinLoopError as error:
        terminal.warn(f"no face is looked for, so of several people all are in the masks: {str(error).splitlines()[0]}")
        return None


def _say(made: Sequence[MaskMade], order: MaskOrder, again: bool, terminal: Terminal) -> None:
    """What came of it, and what to put into the configuration.

    Raises:
        NothingToDo: no photo has a mask.
    """
    from twinloop.stages.make_masks import MaskState

    count = {state: sum(one.state is state for one in made) for state in MaskState}
    for names, reason in by_reason((_named(one), one.problem) for one in made if one.problem):
        terminal.warn(f"no mask made of {names}: {reason}")
    if any(one.clash for one in made) and not order.of_run:  # a record finds its photos by their names
        terminal.line("Rename photos whose masks would have one name, and run this again.")
    if count[MaskState.NONE] == len(made):
        advice = f" {_TRY}" if any(one.unmarked for one in made) else ""
        raise NothingToDo(f"No mask was made: see above.{advice}")
    _say_doubts(made, terminal)
    kept = count[MaskState.KEPT] + count[MaskState.OTHERS]
    terminal.line(
        f"{plural(count[MaskState.MADE], 'mask')} made, {kept} kept, {plural(count[MaskState.NONE], 'photo')} without:"
        f" {order.folder}"
    )
    if count[MaskState.OTHERS]:
        others = count[MaskState.OTHERS]
        terminal.line(
            f"{plural(others, 'mask')} of another program, or changed by one, {agree(others, 'stays', 'stay')} as"
            f" {agree(others, 'it is', 'they are')}; delete {agree(others, 'it', 'them')} to have"
            f" {agree(others, 'it', 'them')} made here."
        )
    if not again and (otherwise := sum(one.otherwise for one in made)):
        terminal.line(
            f"{plural(otherwise, 'mask was', 'masks were')} made with another network or edge; --again makes"
            f" {agree(otherwise, 'it', 'them')} anew."
        )
    terminal.line("Look at some of them before you train. In the configuration:")
    terminal.line(f'  "training": {{ "masks": {_told(order)} }}')


def _named(one: MaskMade) -> str:
    """A photo as a warning names it: by its path where its name is what is wrong."""
    from twinloop.store.run.workspace import shown_path

    return one.photo.name if one.clash is None else shown_path(one.photo)


_TRY = "Another network may do better (--model FILE), or --everyone, which looks for no face."


def _say_doubts(made: Sequence[MaskMade], terminal: Terminal) -> None:
    """Masks that a person should look at."""
    if beside := [one.photo.name for one in made if one.beside]:
        terminal.warn(
            f"{some(beside)}: somebody else is in the mask as well. Only their heads are black, since people who touch"
            " are not told apart: paint the rest black, or leave the photo out."
        )
    if alone := [one.photo.name for one in made if one.alone]:
        terminal.warn(f"{some(alone)}: no face found, so all that the network marks is white. Look at these.")


def _told(order: MaskOrder) -> str:
    """The folder of the masks, as JSON."""
    return json.dumps(order.folder.as_posix(), ensure_ascii=False)


def _data(made: Sequence[MaskMade], order: MaskOrder, masker: Masker) -> dict[str, Any]:
    from twinloop.stages.make_masks import MaskState
    from twinloop.store.run.workspace import shown_path

    return {
        "masks": order.folder.as_posix(),
        "network": masker.name,
        **{state.name.lower(): sum(one.state is state for one in made) for state in MaskState},
        "photos": [
            {
                "photo": shown_path(one.photo),
                "mask": None if one.state is MaskState.NONE else shown_path(one.mask),
                "state": one.state.value,
                "problem": one.problem or None,
                "share": one.share,
                "faces_beside": one.beside,
            }
            for one in made
        ],
    }


COMMAND = Command(
    "masks", "Make masks of photos, so that a training learns the person and not the room.", configure, run
)
