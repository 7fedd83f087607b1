"""Whether redrawing small faces pays: quality, likeness, approvals and time with and without it, and sheets to look at.

    OMP_NUM_THREADS=1 python bench/face_detail.py RUN [RUN ...] [--images 16] [--strengths 0.3 0.4 0.5 0.6] [--margins 1.7] [--sheets DIR]

Each RUN is the folder of a person as `bench/rounds.py` leaves it (bootstrap_config.json, bootstrap/, loras/). With its first LoRA so many shots of each framing are drawn once;
then every strength and margin redraws the same images' faces, by the code of the loop, and the loop's checks judge the results with the run's limits and identity.
Times are processor seconds of this process, all its threads together.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from twinloop import steps, wiring
from twinloop.config import Settings, load_settings
from twinloop.domain.faces import ImageArray
from twinloop.domain.records import Dataset
from twinloop.domain.shots import Gap, Shot
from twinloop.domain.verdicts import Outcome
from twinloop.loop import workspace_of
from twinloop.ports import EarlyLook, GenerationSettings, Generator, SilentReporter
from twinloop.stages import plan, validate
from twinloop.stages.face_detail import FaceDetail
from twinloop.stages.generate import GenerationContext, generate
from twinloop.stages.identity import IdentityReference, reference_from_json
from twinloop.stages.toolbox import Toolbox
from twinloop.store.atomic import read_json
from twinloop.store.catalog import Catalog
from twinloop.store.images import load_image
from twinloop.store.journal import Journal

FRAMINGS = ("portrait", "half_body")
THUMB = 192


@dataclass(frozen=True)
class Figures:
    """One judged image."""

    framing: str
    redrawn: bool
    quality: float
    likeness: float
    on_target: bool
    approved: bool


@dataclass
class Pass:
    """All images of one setting, and the processor seconds of making them."""

    figures: list[Figures] = field(default_factory=list)
    seconds: float = 0.0


class Cached:
    """A generator whose first pictures are kept, so that every setting redraws the same ones."""

    def __init__(self, inner: Generator) -> None:
        self._inner = inner
        self._kept: dict[str, ImageArray] = {}
        self.fingerprint = inner.fingerprint

    def load_lora(self, path: Path | None) -> None:
        self._inner.load_lora(path)

    def check(self, settings: GenerationSettings) -> None:
        self._inner.check(settings)

    def generate(
        self, shots: Sequence[Shot], settings: GenerationSettings, look: EarlyLook | None = None
    ) -> Iterator[tuple[Shot, ImageArray]]:
        if any(shot.key not in self._kept for shot in shots):
            self._kept |= {shot.key: pixels for shot, pixels in self._inner.generate(shots, settings, look)}
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


def opened(folder: Path, images: int) -> Person:
    settings = load_settings((folder / "bootstrap_config.json").resolve())
    space, toolbox = workspace_of(settings), wiring.build_toolbox(settings, SilentReporter())
    gaps = [Gap("framing", value, images, 0, 0, 0.0, "") for value in FRAMINGS]
    wanted = dataclasses.replace(steps.plan_settings(settings, toolbox.style, 1, ()), num_per_gap=images, faces=True)
    photos = Dataset.from_json(read_json(space.dataset(0))).members
    with Catalog(space.root / "catalog.sqlite") as catalog:
        found = validate.observe_files([Path(m.path) for m in photos], toolbox.observer, catalog, SilentReporter(), "")
        known = [validate.known_image(one.path.name, one.observation) for one in found if one.observation is not None]
    return Person(
        settings, toolbox, plan.plan(gaps, toolbox.observer.facets, wanted), space.lora(1),
        reference_from_json(read_json(space.identity)), known, Cached(toolbox.generator()),
    )  # fmt: skip


def one_pass(person: Person, detail: FaceDetail | None, folder: Path) -> tuple[list[Figures], float]:
    """Images of one setting: what the checks say of each, and the seconds of making them (of the redrawing alone, once they are kept)."""
    toolbox = person.toolbox
    context = GenerationContext(
        "bench", folder, toolbox.base_model, person.lora, toolbox.generation, stamped=False, detail=detail
    )
    began = time.process_time()
    journal = Journal(folder.with_suffix(".jsonl"))
    made = generate(person.shots, context, lambda: person.generator, journal, toolbox.clock, SilentReporter())
    seconds = time.process_time() - began
    limits = steps.limits_of(person.settings, toolbox.observer, person.reference)
    asked = [validate.Asked(one.path, one.shot.facet, one.shot.value) for one in made]
    with Catalog(None) as catalog:
        judged = validate.judge(
            asked, toolbox.observer, catalog, limits, person.reference, person.known, SilentReporter()
        )
    redrawn = {one.path: one.face_detail is not None for one in made}
    return [_figures(item, redrawn[item.asked.path], person.reference) for item in judged], seconds


def _figures(item: validate.Judged, redrawn: bool, reference: IdentityReference | None) -> Figures:
    seen = item.seen
    alike = None if seen is None or reference is None else reference.similarity(seen)
    quality = None if seen is None else seen.measure("face_quality")
    on_target = any(r.name == "on_target" and r.outcome is Outcome.APPROVED for r in item.verdict.results)
    return Figures(
        item.asked.value, redrawn, float("nan") if quality is None else quality,
        float("nan") if alike is None else alike, on_target, item.verdict.outcome is Outcome.APPROVED,
    )  # fmt: skip


def sheet(folders: Mapping[str, Path], shots: Sequence[Shot], target: Path) -> None:
    """A row of thumbnails for each shot: as it was, then every setting; the first row's order is that of ``folders``."""
    whole = Image.new("RGB", (THUMB * len(folders), THUMB * len(shots)))
    for row, shot in enumerate(shots):
        for column, folder in enumerate(folders.values()):
            picture = Image.fromarray(load_image(folder / f"{shot.key}.png").pixels).resize((THUMB, THUMB))
            whole.paste(picture, (column * THUMB, row * THUMB))
    target.parent.mkdir(parents=True, exist_ok=True)
    whole.save(target)


def say(name: str, done: Pass, base: Pass) -> None:
    """One row for each framing and one for both."""
    for framing in (*FRAMINGS, "all"):
        rows = [one for one in done.figures if framing in (one.framing, "all")]
        approved = sum(one.approved for one in rows)
        quality, alike = (float(np.nanmean([getattr(one, f) for one in rows])) for f in ("quality", "likeness"))
        redrawn, on_target = sum(one.redrawn for one in rows), sum(one.on_target for one in rows)
        text = f"{name:22} {framing:10} redrawn {redrawn:3} of {len(rows):3}  quality {quality:.3f}  likeness {alike:.3f}  on target {on_target:3}  approved {approved:3}"
        if framing == "all":
            seconds = base.seconds + (done.seconds if done is not base else 0.0)
            each = f"{seconds / approved:.2f}" if approved else "none approved"
            text += f"  s per image {seconds / len(rows):.3f}, per approved {each}"
        print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--images", type=int, default=16, help="shots of each framing and person")
    parser.add_argument("--strengths", type=float, nargs="+", default=(0.3, 0.4, 0.5, 0.6))
    parser.add_argument("--margins", type=float, nargs="+", default=(1.7,))
    parser.add_argument("--below", type=float, default=0.55)
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--figures", type=Path, help="every image's figures, as JSON, are added to this file")
    args = parser.parse_args()
    settings = [(strength, margin) for margin in args.margins for strength in args.strengths]
    passes = {"without": Pass(), **{f"{s:g}, margin {m:g}": Pass() for s, m in settings}}
    with tempfile.TemporaryDirectory() as home:
        for run in args.runs:
            person = opened(run, args.images)
            ways = [None, *(FaceDetail(s, args.below, person.toolbox.observer, m) for s, m in settings)]
            folders = {name: Path(home) / run.name / str(number) for number, name in enumerate(passes)}
            if run is args.runs[0]:  # loaded and warm before anything is timed
                first = dataclasses.replace(
                    person, shots=person.shots[:8], generator=Cached(person.toolbox.generator())
                )
                one_pass(first, ways[-1], Path(home) / "warm")
            for (name, done), detail in zip(passes.items(), ways, strict=True):
                figures, seconds = one_pass(person, detail, folders[name])
                done.figures += figures
                done.seconds += seconds
                if args.figures:
                    rows = [dataclasses.asdict(one) for one in figures]
                    entry = {"run": run.name, "way": name, "seconds": seconds, "images": rows}
                    with args.figures.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(entry) + "\n")
            if args.sheets:
                for framing in FRAMINGS:
                    some = [shot for shot in person.shots if shot.value == framing][:8]
                    sheet(folders, some, args.sheets / f"{run.name}_{framing}.png")
            print(f"after {run.name}:")
            for name, done in passes.items():
                say(name, done, passes["without"])


if __name__ == "__main__":
    main()
