"""``twinloop review``: a person's word on a round's images, without a browser."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli import options
from twinloop.cli.argument_types import positive
from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.domain.wording import plural
from twinloop.errors import InputError, NothingToDo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twinloop.domain.verdicts import Outcome, Verdict
    from twinloop.stages.review import Review
    from twinloop.store.run.workspace import Workspace


def configure(parser: argparse.ArgumentParser) -> None:
    options.add_run(parser)
    parser.add_argument("--iteration", type=positive, metavar="N", help="round to review (default: the latest)")
    for word in ("approve", "reject", "unsure", "forget"):
        meaning = (
            "take back what was said of these images"
            if word == "forget"
            else f"{word} these images"
            if word != "unsure"
            else "leave these images undecided"
        )
        parser.add_argument(f"--{word}", nargs="+", default=[], metavar="FILE", help=meaning)
    parser.add_argument(
        "--finish",
        action="store_true",
        help="let the run go on; images that nobody judged keep their automatic verdict",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.stages.review import Review, finish, read_verdicts, say
    from twinloop.store.run.workspace import Workspace

    folder = options.run_folder(args)
    space = Workspace(folder, folder)
    iteration = args.iteration or _latest(space)
    if not space.verdicts(iteration).exists():
        raise NothingToDo(f"Round {iteration} of {folder} has no verdicts yet.")
    verdicts = {verdict.image: verdict for verdict in read_verdicts(space.verdicts(iteration))}
    path = space.review(iteration)
    review = Review.read(path, iteration)
    opinions = _opinions(args)
    if opinions:
        review = say(path, review, list(verdicts), opinions)
    if args.finish:
        review = finish(path, review)
    if not opinions and not args.finish:
        for line in image_lines(verdicts, review):
            terminal.line(line)
    terminal.line(
        f"Round {iteration}: {len(review.opinions)} of {plural(len(verdicts), 'image')} decided by you;"
        f" {_state(space, review)}"
    )
    return {**review.to_json(), "images": images_json(verdicts, review)}


def images_json(verdicts: Mapping[str, Verdict], review: Review) -> list[dict[str, Any]]:
    """Every image: what it is now and by whom, its quality, and which checks did not approve it."""
    from twinloop.domain.verdicts import Outcome
    from twinloop.stages.validate import in_words

    images = []
    for name, verdict in verdicts.items():
        said = review.opinions.get(name)
        outcome, by = (said.outcome, "you") if said else (verdict.outcome, "checks")
        failed = [in_words(check) for check in verdict.results if check.outcome is not Outcome.APPROVED]
        quality = round(verdict.quality, 4)
        images.append({"file": name, "outcome": str(outcome), "by": by, "quality": quality, "failed": failed})
    return images


def image_lines(verdicts: Mapping[str, Verdict], review: Review) -> list[str]:
    """One line per image of `images_json`."""
    from twinloop.cli.tables import columns

    rows = [("Outcome", "By", "Quality", "Image", "Failed checks")]
    for image in images_json(verdicts, review):
        told = image["outcome"], image["by"], f"{image['quality']:.2f}", image["file"], ", ".join(image["failed"])
        rows.append(told)
    return [*columns(rows, right=(2,)), ""]


def _state(space: Workspace, review: Review) -> str:
    """Whether the run goes on with the review, and what lets it."""
    from twinloop.stages.review import wanted
    from twinloop.store.atomic import read_object

    settings = read_object(space.run_record).get("settings")
    if not wanted(settings.get("review", "never") if isinstance(settings, dict) else "never", review.iteration):
        run = (
            "this round is over and did not wait"
            if space.dataset(review.iteration).exists()
            else "this round does not wait"
        )
        return (
            f'{run} for a review: what you say is kept, and not used. To be asked, set "review": "always" in the'
            " configuration and start anew with --restart."
        )
    return "review finished." if review.finished else "review open; --finish lets the run go on."


def _opinions(args: argparse.Namespace) -> dict[str, Outcome | None]:
    from twinloop.domain.verdicts import Outcome

    said: dict[str, Outcome | None] = {}
    for files, outcome in (
        (args.approve, Outcome.APPROVED),
        (args.reject, Outcome.REJECTED),
        (args.unsure, Outcome.UNSURE),
        (args.forget, None),
    ):
        for file in files:
            name = Path(file).name
            if name in said and said[name] is not outcome:
                raise InputError(f"{name} was given two different decisions.")
            said[name] = outcome
    return said


def _latest(space: Workspace) -> int:
    iteration = 0
    while space.verdicts(iteration + 1).exists():
        iteration += 1
    if iteration == 0:
        raise NothingToDo(f"{space.root} holds no validated round. Name the output_dir of a run.")
    return iteration


COMMAND = Command("review", "Say which generated images are right, for a run that waits for it.", configure, run)
