"""``twinloop review``: a person's word on a round's images, without a browser."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli import options
from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.errors import InputError, NothingToDo

if TYPE_CHECKING:
    from twinloop.domain.verdicts import Outcome


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, metavar="RUN", help="folder of the run (output_dir), as in outputs/bootstrap"
    )
    parser.add_argument("--iteration", type=options.positive, metavar="N", help="round to review (default: the latest)")
    for word in ("approve", "reject", "unsure", "forget"):
        meaning = (
            "take what was said of these images back"
            if word == "forget"
            else f"{word} these images"
            if word != "unsure"
            else "neither"
        )
        parser.add_argument(f"--{word}", nargs="+", default=[], metavar="FILE", help=meaning)
    parser.add_argument(
        "--finish", action="store_true", help="let the run go on; images without a word keep their automatic verdict"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.stages.review import Review, finish, say, to_look_at
    from twinloop.store.atomic import read_json
    from twinloop.store.workspace import Workspace

    space = Workspace(args.folder, args.folder)
    iteration = args.iteration or _latest(space)
    if not space.verdicts(iteration).exists():
        raise NothingToDo(f"Round {iteration} of {args.folder} has no verdicts yet.")
    verdicts = {item["image"]: item for item in to_look_at(read_json(space.verdicts(iteration))["verdicts"])}
    path = space.review(iteration)
    review = Review.read(path, iteration)
    opinions = _opinions(args)
    if opinions:
        review = say(path, review, list(verdicts), opinions)
    if args.finish:
        review = finish(path, review)
    for name, item in verdicts.items():
        said = review.opinions.get(name)
        terminal.line(f"{said.outcome if said else item['outcome']:<9} {'(you)' if said else '     '} {name}")
    state = "finished" if review.finished else "open; --finish lets the run go on"
    terminal.line(
        f"\nRound {iteration}: {len(review.opinions)} of {len(verdicts)} images decided by you; review {state}."
    )
    return review.to_json()


def _opinions(args: argparse.Namespace) -> dict[str, Outcome | None]:
    from twinloop.domain.verdicts import Outcome

    said: dict[str, Outcome | None] = {}
    for files, outcome in (
        (args.approve, Outcome.APPROVED), (args.reject, Outcome.REJECTED), (args.unsure, Outcome.UNSURE), (args.forget, None),
    ):  # fmt: skip
        for file in files:
            name = Path(file).name
            if name in said and said[name] is not outcome:
                raise InputError(f"{name} was given two different decisions.")
            said[name] = outcome
    return said


def _latest(space: Any) -> int:
    iteration = 0
    while space.verdicts(iteration + 1).exists():
        iteration += 1
    if iteration == 0:
        raise NothingToDo(f"{space.root} holds no validated round. Name the output_dir of a run.")
    return iteration


COMMAND = Command("review", "Say which generated images are right, for a run that waits for it.", configure, run)
