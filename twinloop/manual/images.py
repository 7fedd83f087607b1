"""Gaps -> a folder of images. A folder belongs to one order."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from twinloop.config import Settings
from twinloop.domain.facet import Facet
from twinloop.domain.records import Dataset
from twinloop.domain.shots import Gap, Shot
from twinloop.domain.wording import by_reason
from twinloop.errors import InputError, NothingToDo, StateError, UnreadableImage
from twinloop.ports import Clock, GenerationSettings, Generator, Reporter, decisive_generation
from twinloop.stages import generate as generating
from twinloop.stages import plan
from twinloop.stages.early import EarlyJudge
from twinloop.stages.face_detail import FaceDetail
from twinloop.stages.generate import GenerationContext, MadeImage
from twinloop.stages.observe import Observer, observe_files
from twinloop.stages.sources import Source, source_of, sources_from_json
from twinloop.stages.words import USUAL, Around
from twinloop.steps.options import plan_settings
from twinloop.store.atomic import read_json, sha256_file, write_json
from twinloop.store.fresh import fresh_folder
from twinloop.store.journal import Journal
from twinloop.store.lock import locked
from twinloop.store.pictures.dataset_folders import subject_images
from twinloop.store.pictures.images import load_image
from twinloop.store.pictures.provenance import made_here
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import GENERATION_METADATA, Workspace, shown_path

JOURNAL = ".journal.jsonl"
RECORD = ".record.json"
SHOTS = "shots.json"
FREE_SETTINGS = ("offload", "references", "planned", "negative", "distilled")
"""Settings that decide no pixel: where parts of the model wait, what stands in the shots anyway, and what the base
model and the others tell."""


@dataclass(frozen=True)
class ImageOrder:
    """One generation by hand.

    Attributes:
        dataset: the folder of the photos behind the gaps, if known.
        photos: to start images from. photo_share: how many of the images do, 0..1.
    """

    gaps: tuple[Gap, ...]
    iteration: int
    output: Path
    lora: Path | None
    dataset: str | None = None
    photos: tuple[Source, ...] = ()
    photo_share: float = 0.0


@dataclass(frozen=True)
class Studio:
    """What an order is made with; ``base_model`` as the user named it.

    ``early``: judges unfinished images, None = all are finished; ``detail``: redraws small faces, None = they stay.
    ``around``: what prompts have round the facets' words.
    """

    generator: Callable[[], Generator]
    generation: GenerationSettings
    base_model: str
    style: str
    facets: tuple[Facet, ...]
    clock: Clock
    early: EarlyJudge | None = None
    detail: FaceDetail | None = None
    around: Around = USUAL


def plan_shots(order: ImageOrder, settings: Settings, studio: Studio, reporter: Reporter) -> list[Shot]:
    """The shots of an order, the same as the loop's for this seed, trigger and iteration.

    Raises:
        NothingToDo: none of the gaps is of a facet that is known here.
    """
    for gap in plan.unplannable(order.gaps, studio.facets):
        reporter.warn(f"{gap.facet}/{gap.value} is no facet value known here; name its file with --facet FILE")
    wanted = plan_settings(
        settings, studio.style, order.iteration, order.photos, studio.generation.references, around=studio.around
    )
    wanted = dataclasses.replace(wanted, from_photos=order.photo_share)
    shots = plan.plan(order.gaps, studio.facets, wanted)
    if not shots:
        raise NothingToDo("No shot can be planned for these gaps.")
    return shots


def make_images(shots: Sequence[Shot], order: ImageOrder, studio: Studio, reporter: Reporter) -> list[MadeImage]:
    """Make every image of an order that is not there yet.

    Killed and called again it goes on where it was; what fails before its first image leaves no folder.

    Raises:
        StateError: the folder holds images of another order; without an image it is begun anew. Locked: it is in use.
    """
    context = GenerationContext(
        prefix=f"iter{order.iteration}",
        folder=order.output,
        base_model=studio.base_model,
        lora=order.lora,
        settings=studio.generation,
        dataset=order.dataset,
        early=studio.early,
        detail=studio.detail,
    )
    with fresh_folder(order.output, worth_keeping=_holds_images), locked(order.output):
        _begin(shots, order, context, reporter)
        journal = Journal(order.output / JOURNAL, remedy="Move the folder away, or name another --output.")
        return generating.generate(shots, context, studio.generator, journal, studio.clock, reporter)


def _holds_images(folder: Path) -> bool:
    return any(folder.glob("*.png"))


def _begin(shots: Sequence[Shot], order: ImageOrder, context: GenerationContext, reporter: Reporter) -> None:
    """Note what the folder is for: shots.json as in the loop, and a record of all that decides the pixels."""
    plan_json = generating.shots_json(shots, order.iteration)
    record = {
        "shots": hashlib.sha256(json.dumps(plan_json, sort_keys=True).encode()).hexdigest(),
        "base_model": context.base_model,
        "lora": None if order.lora is None else sha256_file(order.lora),
        "settings": decisive_generation(context.settings, FREE_SETTINGS),
    }
    if context.early is not None:
        judge = context.early
        record["early_reject"] = {
            "at": judge.at,
            "observer": judge.observer.fingerprint,
            "limits": dataclasses.asdict(judge.limits),
        }
    if context.detail is not None:
        detail = context.detail
        record["face_detail"] = {
            **detail.to_json(),
            "observer": detail.observer.fingerprint,
            "limits": dataclasses.asdict(detail.limits),
        }
    record = json.loads(json.dumps(record))  # as it will be read back
    kept = order.output / RECORD
    if kept.exists() and (old := read_json(kept)) != record:
        changed = ", ".join(name for name in {**old, **record} if old.get(name) != record.get(name))
        _clear(order.output, changed)
        reporter.line(
            f"{order.output} was started with other settings ({changed} differ) and holds no image yet: begun anew"
        )
    if not kept.exists():
        write_json(order.output / SHOTS, plan_json)
        write_json(kept, record)


def _clear(folder: Path, changed: str) -> None:
    """Take away what another order left in a folder before its first image.

    Raises:
        StateError: there is an image, or all of them were given up; ``changed`` says what differs.
    """
    if _holds_images(folder) or (folder / GENERATION_METADATA).exists():
        raise StateError(
            f"{folder} holds images made with other settings ({changed} differ). Choose another --output; nothing"
            " was changed."
        )
    # the journal first: with the record gone before it, the next call would take its names of images for its own
    for name in (JOURNAL, RECORD):
        (folder / name).unlink(missing_ok=True)


def usable_sources(folder: Path, reporter: Reporter) -> tuple[Source, ...]:
    """The real photos of a folder that an image can start from, without a look at poses: any of them may be a shot's
    first.

    Raises:
        InputError: no such folder, or none in it can be used.
    """
    found, skipped = [], []
    for path in subject_images(folder):
        try:
            found.append((load_image(path).origin, Source(shown_path(path))))
        except UnreadableImage as error:
            skipped.append((path.name, str(error)))
    _tell(skipped, reporter)
    return _some(found, folder)


def observed_sources(folder: Path, observer: Observer, catalog: Catalog, reporter: Reporter) -> tuple[Source, ...]:
    """As `usable_sources`, with what was measured on each face, so that a shot starts from a photo that is near in
    pose.

    Raises:
        as `usable_sources`.
    """
    found, skipped = [], []
    for seen in observe_files(subject_images(folder), observer, catalog, reporter, "Observing"):
        if seen.observation is None:
            skipped.append((seen.path.name, seen.problem))
        else:
            found.append((seen.observation.origin, source_of(shown_path(seen.path), seen.observation)))
    _tell(skipped, reporter)
    return _some(found, folder)


def _tell(skipped: Sequence[tuple[str, str]], reporter: Reporter) -> None:
    for names, reason in by_reason(skipped):
        reporter.warn(f"skipped {names}: {reason}")


def _some(found: Sequence[tuple[str, Source]], folder: Path) -> tuple[Source, ...]:
    """Those of origin ``real``; where there is none, the pictures of a character that other generators made."""
    photos = [source for origin, source in found if origin == "real"]
    photos = photos or [source for _, source in found if not made_here(Path(source.path))]
    if not photos:
        raise InputError(f"No real photo to start from in {folder}.")
    return tuple(photos)


def photos_of_run(settings: Settings) -> tuple[Source, ...]:
    """The photos that the automatic loop of these settings starts images from; () when it has not run."""
    space = Workspace(Path(settings.output_dir), settings.lora_dir)
    if space.sources.is_file():
        return sources_from_json(read_json(space.sources))
    record = space.dataset(0)
    members = Dataset.from_json(read_json(record)).real if record.is_file() else ()
    return tuple(Source(member.path) for member in members if member.weight > 0)
