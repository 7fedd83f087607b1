"""Gaps -> a folder of images. A folder belongs to one order."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.config import Settings
from twinloop.domain.facet import Facet
from twinloop.domain.records import Dataset
from twinloop.domain.shots import Gap, Shot
from twinloop.domain.wording import by_reason
from twinloop.errors import InputError, NothingToDo, UnreadableImage
from twinloop.manual.order_folder import ANOTHER_OUTPUT, OrderFolder
from twinloop.ports import Clock, GenerationSettings, Reporter, decisive_generation
from twinloop.stages import generate as generating
from twinloop.stages import plan
from twinloop.stages.early import EarlyJudge
from twinloop.stages.face_detail import FaceDetail
from twinloop.stages.generation_record import GenerationContext, MadeImage, shots_json
from twinloop.stages.observe import Observer, observe_files
from twinloop.stages.sources import Source, source_of, sources_from_json
from twinloop.stages.toolbox import Makers
from twinloop.steps.stage_options import plan_settings
from twinloop.store.atomic import read_as, sha256_file, write_json
from twinloop.store.pictures.dataset_folders import subject_images
from twinloop.store.pictures.images import load_image
from twinloop.store.pictures.provenance import made_here
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import Workspace, shown_path

SHOTS = "shots.json"
EXTRA_LORAS = "extra_loras"
"""In a record: the hashes of the extra LoRAs that its settings name."""
FREE_OF_PIXELS = ("offload", "references", "planned", "negative", "distilled")
"""Settings that decide no pixel: where parts of the model wait, what stands in the shots anyway, and what the base
model and the others tell."""


@dataclass(frozen=True)
class ImageOrder:
    """One generation by hand.

    Attributes:
        dataset: the folder of the photos behind the gaps, if known.
        photos: to start images from. photo_share: how many of the images do, 0..1.
        instead: what to do where the output holds images of another order.
    """

    gaps: tuple[Gap, ...]
    iteration: int
    output: Path
    lora: Path | None
    dataset: str | None = None
    photos: tuple[Source, ...] = ()
    photo_share: float = 0.0
    instead: str = ANOTHER_OUTPUT


@dataclass(frozen=True)
class Studio:
    """What an order is made with.

    ``early``: judges unfinished images, None = all are finished; ``detail``: redraws small faces, None = they stay.
    """

    makers: Makers
    facets: tuple[Facet, ...]
    clock: Clock
    early: EarlyJudge | None = None
    detail: FaceDetail | None = None


def plan_shots(order: ImageOrder, settings: Settings, studio: Studio, reporter: Reporter) -> list[Shot]:
    """The shots of an order, the same as the loop's for this seed, trigger and iteration.

    Raises:
        NothingToDo: none of the gaps is of a facet that is known here.
    """
    for gap in plan.unplannable(order.gaps, studio.facets):
        reporter.warn(f"{gap.facet}/{gap.value} is no facet value known here; name its file with --facet FILE")
    wanted = plan_settings(settings, studio.makers, order.iteration, order.photos)
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
        base_model=studio.makers.base_model,
        lora=order.lora,
        settings=studio.makers.generation,
        dataset=order.dataset,
        early=studio.early,
        detail=studio.detail,
    )
    folder = OrderFolder(order.output, "*.png", "made with other settings", order.instead)
    with folder.in_use():
        plan_json = shots_json(shots, order.iteration)
        _begin(folder, plan_json, _record(plan_json, context), reporter)
        return generating.generate(shots, context, studio.makers.generator, folder.journal(), studio.clock, reporter)


def _begin(folder: OrderFolder, plan_json: dict[str, Any], record: dict[str, Any], reporter: Reporter) -> None:
    """Note what the folder is for: shots.json as in the loop, and a record of all that decides the pixels."""
    old = folder.record()
    if old is not None and (problem := _differs(old, record)):
        folder.clear(problem, reporter)
        old = None
    if old is None:
        write_json(folder.path / SHOTS, plan_json)
    if old != record:
        folder.keep(record)


def _differs(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What is not as it was when the folder was begun; "" = all of it is."""
    if changed := [name for name in {**old, **new} if old.get(name) != new.get(name) and name != EXTRA_LORAS]:
        return f"{', '.join(changed)} differ"
    return other_extra_loras(old, new)


def extra_lora_hashes(settings: GenerationSettings) -> dict[str, list[str | None]]:
    """For a record of what decides the pixels: the sha256 of each extra LoRA's file, None = it is not there; nothing
    without any.
    """
    files = [Path(path) for path, _ in settings.extra_loras]
    return {EXTRA_LORAS: [sha256_file(file) if file.is_file() else None for file in files]} if files else {}


def other_extra_loras(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Which extra LoRAs are other files than when the record was begun, though they lie at the same places; "" = none,
    or it is not known, because the record has no hashes.
    """
    before, now = old.get(EXTRA_LORAS), new.get(EXTRA_LORAS)
    if not isinstance(before, list) or not now:
        return ""
    places = (place for place, _ in new["settings"]["extra_loras"])
    others = [place for place, one, other in zip(places, before, now, strict=False) if other not in (one, None)]
    return f"another file is now at {' and '.join(others)}, an extra LoRA" if others else ""


def _record(plan_json: dict[str, Any], context: GenerationContext) -> dict[str, Any]:
    """All that decides the pixels, as it will be read back."""
    record: dict[str, Any] = {
        "shots": hashlib.sha256(json.dumps(plan_json, sort_keys=True).encode()).hexdigest(),
        "base_model": context.base_model,
        "lora": None if context.lora is None else sha256_file(context.lora),
        "settings": decisive_generation(context.settings, FREE_OF_PIXELS),
        **extra_lora_hashes(context.settings),
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
    as_read: dict[str, Any] = json.loads(json.dumps(record))
    return as_read


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
        return read_as(space.sources, sources_from_json)
    record = space.dataset(0)
    members = read_as(record, Dataset.from_json).real if record.is_file() else ()
    return tuple(Source(member.path) for member in members if member.weight > 0)
