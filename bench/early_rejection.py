"""Whether giving images up early pays: what a preview catches, what it throws away wrongly, and the time per approved
image.

    twinloop demo --out outputs/demo
    python bench/early_rejection.py outputs/demo/bootstrap_config.json [--num-per-gap 16] [--at 0.4 0.6 0.8]

Takes a finished run's first LoRA and the gaps that its first round found, plans so many shots for each, makes and
validates all of them without early rejection, and then with it, each in a folder of its own by the same code as the
loop. Both make the same images, so the verdicts of the first pass say which rejections were right. Times are processor
seconds of this process, all its threads together; run it with OMP_NUM_THREADS=1 to compare.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twinloop import wiring
from twinloop.checks.base import CheckLimits
from twinloop.config import Settings, load_settings
from twinloop.domain.observation import Observation
from twinloop.domain.records import Dataset
from twinloop.domain.shots import Shot
from twinloop.domain.statistics import wilson
from twinloop.domain.verdicts import Outcome, Verdict
from twinloop.ports import SilentReporter
from twinloop.stages import analyze, plan, validate
from twinloop.stages.early import EarlyJudge
from twinloop.stages.generate import generate
from twinloop.stages.generation_record import GenerationContext
from twinloop.stages.identity import IdentityReference, reference_from_json
from twinloop.stages.toolbox import Toolbox
from twinloop.steps import stage_options as options
from twinloop.store.atomic import read_json
from twinloop.store.journal import Journal
from twinloop.store.pictures.images import load_image
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import workspace_of

PREFIX = "iter1"


@dataclass(frozen=True)
class Bench:
    """What every pass has in common. ``known``: names and perceptual hashes of the photos."""

    toolbox: Toolbox
    shots: Sequence[Shot]
    lora: Path
    limits: CheckLimits
    reference: IdentityReference | None
    known: Sequence[validate.Known]


@dataclass(frozen=True)
class Pass:
    """One generation with its validation: verdicts by shot, and processor seconds of each."""

    verdicts: dict[str, Verdict]
    making: float
    judging: float

    def count(self, outcome: Outcome) -> int:
        return sum(verdict.outcome is outcome for verdict in self.verdicts.values())

    @property
    def seconds_per_approved(self) -> float:
        return (self.making + self.judging) / self.count(Outcome.APPROVED)


def prepare(settings: Settings) -> Bench:
    """The shots of round 1, as many for each gap as the settings say, and the rulers of the run."""
    space, toolbox = workspace_of(settings), wiring.build_toolbox(settings, SilentReporter())
    reference = reference_from_json(read_json(space.identity))
    wanted = settings.generation.num_per_gap
    gaps = [dataclasses.replace(gap, count=wanted) for gap in analyze.gaps_from_json(read_json(space.gaps(1)))]
    asked = options.plan_settings(settings, toolbox.makers, 1, ())
    shots = plan.plan(gaps, toolbox.observer.facets, asked)
    photos = Dataset.from_json(read_json(space.dataset(0))).members
    seen: list[tuple[str, Observation]] = [
        (Path(m.path).name, toolbox.observer.observe(load_image(Path(m.path)))) for m in photos
    ]
    known = [validate.known_image(name, one) for name, one in seen]
    return Bench(
        toolbox, shots, space.lora(1), options.limits_of(settings, toolbox.observer, reference), reference, known
    )


def one_pass(bench: Bench, at: float | None, folder: Path) -> Pass:
    toolbox = bench.toolbox
    judge = None if at is None else EarlyJudge(at, toolbox.observer, bench.limits)
    context = GenerationContext(
        prefix=PREFIX,
        folder=folder / "images",
        base_model=toolbox.makers.base_model,
        lora=bench.lora,
        settings=toolbox.makers.generation,
        early=judge,
    )
    began = time.process_time()
    journal = Journal(folder / "journal.jsonl")
    generate(bench.shots, context, toolbox.makers.generator, journal, toolbox.clock, SilentReporter())
    made = time.process_time()
    asked = validate.asked_images(context.folder, toolbox.observer.facets)
    with Catalog(None) as catalog:
        judged = validate.judge(
            asked,
            toolbox.observer,
            catalog,
            bench.limits,
            reference=bench.reference,
            known=bench.known,
            reporter=SilentReporter(),
        )
    done = time.process_time()
    # by shot, because the file names carry the time
    judged += validate.given_up(context.folder)
    by_shot = {item.asked.path.name.removeprefix("synthetic_").rsplit("_", 2)[0]: item.verdict for item in judged}
    return Pass(by_shot, made - began, done - made)


def share(part: int, of: int) -> str:
    if not of:
        return "none"
    estimate = wilson(part, of)
    return f"{part} of {of}, {estimate.value:.0%} ({estimate.low:.0%} to {estimate.high:.0%})"


def compare(at: float, early: Pass, plain: Pass) -> None:
    """Print one row: what was caught, what was lost, what it cost."""
    caught = dict.fromkeys(Outcome, 0)
    for key, verdict in early.verdicts.items():
        if verdict.early is not None:
            caught[plain.verdicts[key].outcome] += 1
    both = [key for key, verdict in early.verdicts.items() if verdict.early is None]
    turned = sum(early.verdicts[key].outcome is not plain.verdicts[key].outcome for key in both)
    print(f"\nat {at:.0%} of the steps:")
    print(
        "  of those that validation rejects, given up early:"
        f" {share(caught[Outcome.REJECTED], plain.count(Outcome.REJECTED))}"
    )
    print(
        "  of those that it approves, given up wrongly:     "
        f" {share(caught[Outcome.APPROVED], plain.count(Outcome.APPROVED))}"
    )
    print(
        f"  of those that it cannot tell:                     {caught[Outcome.UNSURE]} of {plain.count(Outcome.UNSURE)}"
    )
    print(f"  finished images whose verdict is another one now: {turned} of {len(both)}")
    say_time(early)
    print(f"  against without: {early.seconds_per_approved / plain.seconds_per_approved:.2f}")


def say_time(done: Pass) -> None:
    print(
        f"  making {done.making:.1f} s, validating {done.judging:.1f} s, approved {done.count(Outcome.APPROVED)}: "
        f"{done.seconds_per_approved:.2f} s per approved image"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="bootstrap_config.json of a run that has finished its first round")
    parser.add_argument("--num-per-gap", type=int, default=16)
    parser.add_argument("--at", type=float, nargs="+", default=(0.4, 0.6, 0.8))
    parser.add_argument("--home", type=Path, default=Path(), help="folder that the run was started in")
    args = parser.parse_args()
    settings = load_settings(args.config.resolve())
    os.chdir(args.home)
    settings = settings.model_copy(
        update={"generation": settings.generation.model_copy(update={"num_per_gap": args.num_per_gap})}
    )
    bench = prepare(settings)
    print(
        f"{len(bench.shots)} shots, {bench.toolbox.makers.generation.steps} steps, batches of"
        f" {bench.toolbox.makers.generation.batch_size}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as home:
        # the base is loaded and warm before anything is timed
        one_pass(
            dataclasses.replace(bench, shots=bench.shots[: bench.toolbox.makers.generation.batch_size]),
            0.5,
            Path(home) / "warm",
        )
        plain = one_pass(bench, None, Path(home) / "plain")
        rejected, unsure = plain.count(Outcome.REJECTED), plain.count(Outcome.UNSURE)
        print(f"without: {plain.count(Outcome.APPROVED)} approved, {rejected} rejected, {unsure} unsure")
        say_time(plain)
        for at in args.at:
            compare(at, one_pass(bench, at, Path(home) / f"at_{at}"), plain)


if __name__ == "__main__":
    main()
