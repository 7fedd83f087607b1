r"""Whether redrawing small faces pays: quality, likeness, approvals, time with and without it, and sheets to look at.

    OMP_NUM_THREADS=1 python bench/face_detail.py RUN [RUN ...] [--images 16] [--strengths 0.3 0.4 0.5 0.6] \
        [--margins 1.7] [--sheets DIR]

Each RUN is the folder of a person as `bench/rounds.py` leaves it (bootstrap_config.json, bootstrap/, loras/). With its
first LoRA so many shots of each framing are drawn once; then every strength and margin redraws the same images' faces,
by the code of the loop, and the loop's checks judge the results with the run's limits and identity. Times are processor
seconds of this process, all its threads together: the least of several turns, in which drawing and redrawing take
turns, because other work on the machine makes them two or three times as long.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from twinloop import manual, wiring
from twinloop.config import Settings, load_settings
from twinloop.domain.faces import ImageArray
from twinloop.domain.records import Dataset
from twinloop.domain.shots import Gap, Shot
from twinloop.domain.verdicts import CheckResult, Outcome
from twinloop.ports import Denoising, EarlyLook, GenerationSettings, Generator, SilentReporter
from twinloop.stages import analyze, plan, validate
from twinloop.stages.early import results_of
from twinloop.stages.face_detail import DECISIVE, MARGIN, FaceDetail
from twinloop.stages.generate import generate
from twinloop.stages.generation_record import GenerationContext, MadeImage
from twinloop.stages.identity import IdentityReference, reference_from_json
from twinloop.stages.observe import observe_files
from twinloop.stages.toolbox import Toolbox
from twinloop.steps import stage_options as options
from twinloop.store.atomic import read_json
from twinloop.store.journal import Journal
from twinloop.store.pictures.images import load_image
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import workspace_of

FRAMINGS = ("portrait", "half_body")
THUMB = 192
TURNS = 3


@dataclass(frozen=True)
class Figures:
    """One judged image."""

    framing: str
    redrawn: bool
    quality: float
    likeness: float
    on_target: bool
    approved: bool


@dataclass(frozen=True)
class Costs:
    """Processor seconds of one image: of drawing it, of the detectors' look at it, and of redrawing its face, by
    strength.
    """

    drawing: float
    looking: float
    redrawing: Mapping[float, float]

    def of(self, images: int, redrawn: int, strength: float) -> float:
        """Of so many images; strength 0 = nobody looks at them."""
        if not strength:
            return images * self.drawing
        return images * (self.drawing + self.looking) + redrawn * self.redrawing[strength]


class Cached:
    """A generator whose first pictures are kept, so that every setting redraws the same ones."""

    def __init__(self, inner: Generator) -> None:
        self._inner = inner
        self._kept: dict[str, ImageArray] = {}
        self.fingerprint, self.own_sampler = inner.fingerprint, inner.own_sampler

    def load_lora(self, path: Path | None) -> None:
        self._inner.load_lora(path)

    def check(self, settings: GenerationSettings) -> None:
        self._inner.check(settings)

    def expect(self, shots: Sequence[Shot], settings: GenerationSettings) -> None:
        self._inner.expect(shots, settings)

    def generate(
        self,
        shots: Sequence[Shot],
        settings: GenerationSettings,
        look: EarlyLook | None = None,
        told: Denoising | None = None,
    ) -> Iterator[tuple[Shot, ImageArray]]:
        if any(shot.key not in self._kept for shot in shots):
            self._kept |= {shot.key: pixels for shot, pixels in self._inner.generate(shots, settings, look, told)}
        for shot in shots:
            yield shot, self._kept[shot.key]

    def redraw(
        self, pictures: Sequence[tuple[Shot, ImageArray]], settings: GenerationSettings
    ) -> Iterator[tuple[Shot, ImageArray]]:
        return self._inner.redraw(pictures, settings)


@dataclass(frozen=True)
class Person:
    """One run, open. ``known``: names and perceptual hashes of its photos."""

    settings: Settings
    toolbox: Toolbox
    shots: Sequence[Shot]
    lora: Path
    reference: IdentityReference | None
    known: Sequence[validate.Known]
    generator: Cached


def opened(folder: Path, images: int, as_run: bool) -> Person:
    """A run and the shots to draw: so many of each framing, or for each gap of its first round as the run drew them."""
    settings = load_settings((folder / "bootstrap_config.json").resolve())
    space, toolbox = workspace_of(settings), wiring.build_toolbox(settings, SilentReporter())
    gaps = [Gap("framing", value, images, 0, 0, 0.0, "") for value in FRAMINGS]
    gaps = list(analyze.gaps_from_json(read_json(space.gaps(1)))) if as_run else gaps
    photos_to_start_from = manual.photos_of_run(settings) if as_run else ()
    wanted = options.plan_settings(settings, toolbox.makers, 1, photos_to_start_from)
    wanted = dataclasses.replace(wanted, num_per_gap=images, faces=True)
    photos = Dataset.from_json(read_json(space.dataset(0))).members
    with Catalog(space.root / "catalog.sqlite") as catalog:
        found = observe_files([Path(m.path) for m in photos], toolbox.observer, catalog, SilentReporter(), "")
        known = [validate.known_image(one.path.name, one.observation) for one in found if one.observation is not None]
    return Person(
        settings, toolbox, plan.plan(gaps, toolbox.observer.facets, wanted), space.lora(1),
        reference_from_json(read_json(space.identity)), known, Cached(toolbox.makers.generator()),
    )  # fmt: skip


def one_pass(person: Person, detail: FaceDetail | None, folder: Path) -> list[Figures]:
    """Images of one setting, and what the checks say of each."""
    toolbox = person.toolbox
    context = GenerationContext(
        prefix="bench",
        folder=folder,
        base_model=toolbox.makers.base_model,
        lora=person.lora,
        settings=toolbox.makers.generation,
        stamped=False,
        detail=detail,
    )
    journal = Journal(folder.with_suffix(".jsonl"))
    made = generate(person.shots, context, lambda: person.generator, journal, toolbox.clock, SilentReporter())
    limits = options.limits_of(person.settings, toolbox.observer, person.reference)
    asked = [validate.Asked(one.path, one.shot.facet, one.shot.value) for one in made]
    with Catalog(None) as catalog:
        judged = validate.judge(
            asked,
            toolbox.observer,
            catalog,
            limits,
            reference=person.reference,
            known=person.known,
            reporter=SilentReporter(),
        )
    return [_figures(item, one, person.reference) for item, one in zip(judged, made, strict=True)]


def costs(person: Person, strengths: Sequence[float]) -> Costs:
    """On one batch, whose pictures stand for their own faces."""
    settings = person.toolbox.makers.generation
    shots = [dataclasses.replace(shot, prompt=shot.face_prompt) for shot in person.shots[: settings.batch_size]]
    generator = person.toolbox.makers.generator()
    generator.load_lora(person.lora)
    taken: dict[str | float, list[float]] = {}

    def timed(name: str | float, work: Callable[[], object]) -> None:
        began = time.process_time()
        work()
        taken.setdefault(name, []).append((time.process_time() - began) / len(shots))

    pictures = list(generator.generate(shots, settings))  # loaded and warm
    for _ in range(TURNS):
        timed("drawing", lambda: list(generator.generate(shots, settings)))
        timed("looking", lambda: [_look(person, *made) for made in pictures])
        for strength in strengths:
            wanted = dataclasses.replace(settings, strength=strength)
            timed(strength, lambda wanted=wanted: list(generator.redraw(pictures, wanted)))  # type: ignore[misc]
    least = {name: min(seconds) for name, seconds in taken.items()}
    return Costs(least["drawing"], least["looking"], {strength: least[strength] for strength in strengths})


def _look(person: Person, shot: Shot, pixels: ImageArray) -> Sequence[CheckResult]:
    observer = person.toolbox.observer
    observer.faces(pixels)
    return results_of(shot, pixels, observer, options.limits_of(person.settings, observer, None), DECISIVE)


def _figures(item: validate.Judged, made: MadeImage, reference: IdentityReference | None) -> Figures:
    seen = item.seen
    alike = None if seen is None or reference is None else reference.similarity(seen)
    quality = None if seen is None else seen.measure("face_quality")
    on_target = any(r.name == "on_target" and r.outcome is Outcome.APPROVED for r in item.verdict.results)
    return Figures(
        framing_of(made.shot), made.face_detail is not None, float("nan") if quality is None else quality,
        float("nan") if alike is None else alike, on_target, item.verdict.outcome is Outcome.APPROVED,
    )  # fmt: skip


def framing_of(shot: Shot) -> str:
    """What was asked for."""
    return {**dict(shot.traits), shot.facet: shot.value}.get("framing", "any")


def sheet(folders: Mapping[str, Path], shots: Sequence[Shot], target: Path) -> None:
    """A row of thumbnails for each shot: as it was, then each setting; the first row's order is that of ``folders``."""
    whole = Image.new("RGB", (THUMB * len(folders), THUMB * len(shots)))
    for row, shot in enumerate(shots):
        for column, folder in enumerate(folders.values()):
            picture = Image.fromarray(load_image(folder / f"{shot.key}.png").pixels).resize((THUMB, THUMB))
            whole.paste(picture, (column * THUMB, row * THUMB))
    target.parent.mkdir(parents=True, exist_ok=True)
    whole.save(target)


def say(name: str, figures: Sequence[Figures], strength: float, cost: Costs) -> None:
    """One row for each framing and one for both."""
    for framing in (*sorted({one.framing for one in figures}), "all"):
        rows = [one for one in figures if framing in (one.framing, "all")]
        approved, redrawn, on_target = (
            sum(getattr(one, name) for one in rows) for name in ("approved", "redrawn", "on_target")
        )
        quality, alike = (float(np.nanmean([getattr(one, name) for one in rows])) for name in ("quality", "likeness"))
        seconds = cost.of(len(rows), redrawn, strength)
        each = f"{seconds / approved:.2f} s" if approved else "none approved"
        print(
            f"{name:18} {framing:10} redrawn {redrawn:3} of {len(rows):3}  quality {quality:.3f}  likeness {alike:.3f} "
            f" on target {on_target:3}  approved {approved:3}  an image {seconds / len(rows):.2f} s, an approved one"
            f" {each}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--images", type=int, default=16, help="shots of each framing (or gap) and person")
    parser.add_argument("--strengths", type=float, nargs="+", default=(0.3, 0.4, 0.5, 0.6))
    parser.add_argument("--margins", type=float, nargs="+", default=(MARGIN,))
    parser.add_argument("--below", type=float, default=0.55)
    parser.add_argument(
        "--as-run",
        action="store_true",
        help="the shots of each run's first round, --images for each gap, some from photos",
    )
    parser.add_argument("--all", action="store_true", help="also the faces whose quality is good enough")
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--figures", type=Path, help="every image's figures, as JSON, are added to this file")
    args = parser.parse_args()
    ways = {
        "without": (0.0, MARGIN),
        **{f"{s:g}, margin {m:g}": (s, m) for m in args.margins for s in args.strengths},
    }
    done: dict[str, list[Figures]] = {name: [] for name in ways}
    cost = None
    with tempfile.TemporaryDirectory() as home:
        for run in args.runs:
            person = opened(run, args.images, args.as_run)
            cost = cost or costs(person, args.strengths)
            limits = options.limits_of(person.settings, person.toolbox.observer, person.reference)
            # no limit: no face is good enough to stay
            limits = dataclasses.replace(limits, min_face_quality=None, real_face_quality={}) if args.all else limits
            folders = {name: Path(home) / run.name / str(number) for number, name in enumerate(ways)}
            for name, (strength, margin) in ways.items():
                detail = FaceDetail(strength, args.below, person.toolbox.observer, limits, margin)
                figures = one_pass(person, detail if strength else None, folders[name])
                done[name] += figures
                if args.figures:
                    entry = {"run": run.name, "way": name, "images": [dataclasses.asdict(one) for one in figures]}
                    with args.figures.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(entry) + "\n")
            if args.sheets:
                for framing in FRAMINGS:
                    some = [shot for shot in person.shots if framing_of(shot) == framing][:8]
                    sheet(folders, some, args.sheets / f"{run.name}_{framing}.png")
            print(f"after {run.name}:")
            for name, figures in done.items():
                say(name, figures, ways[name][0], cost)


if __name__ == "__main__":
    main()
