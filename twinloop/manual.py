"""The loop's steps one at a time, by hand: the same stages over folders of the user's choice, without a run folder.

What one step knows travels in its artefact: gaps.json names the photos, generation_metadata.json hands that on, and so a
validation compares with the same photos as the loop would.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop import steps
from twinloop.config import Settings
from twinloop.domain.facet import Facet
from twinloop.domain.records import Dataset, LoRA
from twinloop.domain.shots import Gap, Shot
from twinloop.errors import InputError, NothingToDo, StateError, UnreadableImage
from twinloop.ports import Clock, GenerationSettings, Generator, Reporter
from twinloop.stages import analyze, plan
from twinloop.stages import generate as generating
from twinloop.stages import merge as merging
from twinloop.stages import train as training
from twinloop.stages import validate as validating
from twinloop.stages.early import EarlyJudge
from twinloop.stages.generate import GenerationContext, MadeImage
from twinloop.stages.identity import IdentityReference, freeze_reference, reference_from_json, reference_to_json
from twinloop.stages.observe import Observer, Seen, observe_files
from twinloop.stages.samples import Beside, faces_of
from twinloop.stages.select import Selection, select
from twinloop.stages.sources import Source, sources_from_json
from twinloop.stages.toolbox import Toolbox
from twinloop.stages.validate import Judged
from twinloop.store.atomic import read_json, sha256_file, write_json
from twinloop.store.catalog import Catalog
from twinloop.store.images import find_images, load_image
from twinloop.store.journal import Journal
from twinloop.store.lock import locked
from twinloop.store.sidecar import consent_of
from twinloop.store.workspace import Workspace, shown_path

JOURNAL = ".journal.jsonl"
RECORD = ".record.json"
SHOTS = "shots.json"


@dataclass(frozen=True)
class Photos:
    """A folder of photos, observed. ``found`` = every file in order; ``selection`` = which of them make the dataset."""

    folder: Path
    found: tuple[Seen, ...]
    selection: Selection


def look_at(folder: Path, settings: Settings, observer: Observer, catalog: Catalog, reporter: Reporter) -> Photos:
    """Observe a folder and select from it as the loop does; unreadable files are skipped by name.

    Raises:
        InputError: no such folder. NothingToDo: nothing in it can be used; says why.
    """
    found = tuple(observe_files(find_images(folder), observer, catalog, reporter, "Observing"))
    for item in found:
        if item.problem:
            reporter.warn(f"skipped {item.path.name}: {item.problem}")
    selection = select(found, steps.rules(settings))
    if not selection.photos:
        raise NothingToDo(steps.no_photos_message(str(folder), selection))
    return Photos(folder, found, selection)


def find_gaps(
    photos: Photos, settings: Settings, observer: Observer, iteration: int
) -> tuple[analyze.Analysis, dict[str, Any]]:
    """The analysis of a folder, and its gaps.json.

    Raises:
        InputError: a wanted share of a facet or value that does not exist.
    """
    analyze.check_shares(observer.facets, settings.analysis.shares)
    seen = [photo.seen for photo in photos.selection.photos]
    result = analyze.analyze(seen, observer.facets, settings.analysis.shares)
    data = analyze.analysis_json(
        result, person=settings.person_name, dataset=shown_path(photos.folder), iteration=iteration,
        left_out=[(shown_path(path), reason) for path, reason in photos.selection.left_out],
        missing=observer.pack.missing, settings=steps.settings_fingerprint(settings),
    )  # fmt: skip
    return result, data


def read_gaps(path: Path) -> tuple[tuple[Gap, ...], dict[str, Any]]:
    """The gaps of a file, and all that stands beside them.

    Raises:
        InputError: missing, not JSON, or not a gap analysis; says what is wrong with it.
    """
    try:
        data = json.loads(path.read_bytes())
        return analyze.gaps_from_json(data), data
    except FileNotFoundError:
        problem = f"Gap analysis not found: {path}."
    except (ValueError, RecursionError) as error:
        problem = f"{path} is not a valid gap analysis: {error}."
    except OSError as error:
        problem = f"Cannot read {path}: {error.strerror}."
    raise InputError(f"{problem} Make one: python gap_analysis.py DATASET --output gaps.json")


@dataclass(frozen=True)
class Order:
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
    """What an order is made with; ``base_model`` as the user named it. ``early``: judges unfinished images, None = all are finished."""

    generator: Callable[[], Generator]
    generation: GenerationSettings
    base_model: str
    style: str
    facets: tuple[Facet, ...]
    clock: Clock
    early: EarlyJudge | None = None


def plan_shots(order: Order, settings: Settings, studio: Studio, reporter: Reporter) -> list[Shot]:
    """The shots of an order, the same as the loop's for this seed, trigger and iteration.

    Raises:
        NothingToDo: none of the gaps is of a facet that is known here.
    """
    for gap in plan.unplannable(order.gaps, studio.facets):
        reporter.warn(f"{gap.facet}/{gap.value} is no facet value known here; name its file with --facet FILE")
    wanted = steps.plan_settings(settings, studio.style, order.iteration, order.photos, studio.generation.references)
    wanted = dataclasses.replace(wanted, from_photos=order.photo_share)
    shots = plan.plan(order.gaps, studio.facets, wanted)
    if not shots:
        raise NothingToDo("No shot can be planned for these gaps.")
    return shots


def make_images(shots: Sequence[Shot], order: Order, studio: Studio, reporter: Reporter) -> list[MadeImage]:
    """Make every image of an order that is not there yet. Killed and called again it goes on where it was.

    Raises:
        StateError: the folder was started with another order. Locked: it is in use.
    """
    context = GenerationContext(
        f"iter{order.iteration}", order.output, studio.base_model, order.lora, studio.generation, dataset=order.dataset, early=studio.early
    )  # fmt: skip
    with locked(order.output):
        _begin(shots, order, context)
        journal = Journal(order.output / JOURNAL)
        return generating.generate(shots, context, studio.generator, journal, studio.clock, reporter)


def _begin(shots: Sequence[Shot], order: Order, context: GenerationContext) -> None:
    """Note what the folder is for: shots.json as in the loop, and a record of all that decides the pixels."""
    plan_json = generating.shots_json(shots, order.iteration)
    record = {
        "shots": hashlib.sha256(json.dumps(plan_json, sort_keys=True).encode()).hexdigest(),
        "base_model": context.base_model,
        "lora": None if order.lora is None else sha256_file(order.lora),
        "settings": {name: value for name, value in dataclasses.asdict(context.settings).items() if name not in _FREE},
    }
    if context.early is not None:
        judge = context.early
        record["early_reject"] = {
            "at": judge.at,
            "observer": judge.observer.fingerprint,
            "limits": dataclasses.asdict(judge.limits),
        }
    record = json.loads(json.dumps(record))  # as it will be read back
    kept = order.output / RECORD
    if not kept.exists():
        write_json(order.output / SHOTS, plan_json)
        write_json(kept, record)
    elif (old := _complete(read_json(kept))) != record:
        changed = ", ".join(name for name in {**old, **record} if old.get(name) != record.get(name))
        raise StateError(
            f"{order.output} holds images made with other settings ({changed} differ). Choose another --output; nothing was changed."
        )


_FREE = ("offload", "references", "planned")
"""Settings that decide no pixel: where parts of the model wait, and what stands in the shots anyway."""


def _complete(kept: Any) -> Any:
    """An order that an older version began lacks settings that are new since: they had their default."""
    fields = dataclasses.fields(GenerationSettings)
    usual = {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}
    settings = {name: value for name, value in {**usual, **kept.get("settings", {})}.items() if name not in _FREE}
    return {**kept, "settings": json.loads(json.dumps(settings))}


def usable_sources(folder: Path, reporter: Reporter) -> tuple[Source, ...]:
    """The real photos of a folder that an image can start from.

    Raises:
        InputError: no such folder, or none in it can be used.
    """
    found = []
    for path in find_images(folder):
        try:
            if load_image(path).origin == "real":
                found.append(Source(shown_path(path)))
        except UnreadableImage as error:
            reporter.warn(f"skipped {path.name}: {error}")
    if not found:
        raise InputError(f"No real photo to start from in {folder}.")
    return tuple(found)


def photos_of_run(settings: Settings) -> tuple[Source, ...]:
    """The photos that the automatic loop of these settings starts images from; () when it has not run."""
    space = Workspace(Path(settings.output_dir), settings.lora_dir)
    if space.sources.is_file():
        return sources_from_json(read_json(space.sources))
    record = space.dataset(0)
    members = Dataset.from_json(read_json(record)).real if record.is_file() else ()
    return tuple(Source(member.path) for member in members if member.weight > 0)


def recorded_dataset(folder: Path) -> Path | None:
    """The photos that a folder of made images was made for, when its record names them and they are there."""
    metadata = folder / generating.METADATA
    if not metadata.is_file():
        return None
    data = read_json(metadata)
    named = data.get("dataset") if isinstance(data, dict) else None
    return Path(named) if isinstance(named, str) and Path(named).is_dir() else None


def learn_person(photos: Photos, settings: Settings, observer: Observer) -> IdentityReference | None:
    """The identity reference of a folder's real photos, with the rounding of the loop's own record; None where it is not wanted."""
    if not settings.validation.identity:
        return None
    seen = [photo.seen for photo in photos.selection.photos]
    return reference_from_json(reference_to_json(freeze_reference(seen, observer.fingerprint, observer.strangers)))


def judge_folder(
    folder: Path,
    photos: Photos | None,
    settings: Settings,
    observer: Observer,
    catalog: Catalog,
    reporter: Reporter,
) -> tuple[list[Judged], dict[str, Any]]:
    """Verdicts of all images of a folder, and their record.

    Args:
        photos: the real photos; without them there is no identity check, and novelty only among the images themselves.

    Raises:
        NothingToDo: no images there. InputError: no such folder.
    """
    asked = validating.asked_images(folder, observer.facets)
    reference = learn_person(photos, settings, observer) if photos is not None else None
    known = [(p.path.name, p.seen.phash) for p in photos.selection.photos] if photos is not None else []
    limits = steps.limits_of(settings, reference)
    judged = validating.judge(asked, observer, catalog, limits, reference, known, reporter) + validating.given_up(
        folder
    )
    verdicts = [item.verdict for item in judged]
    return judged, validating.verdicts_json(verdicts, limits, steps.settings_fingerprint(settings))


def train_folder(photos: Photos, output: Path, settings: Settings, toolbox: Toolbox) -> LoRA:
    """Train one LoRA on a folder of photos, approved images that were copied into it included.

    Raises:
        NothingToDo: no photo to train on. StateError: ``output`` is there and was made from something else.
    """
    limits = steps.merge_limits(settings)
    dataset = merging.dataset_by_hand(
        photos.selection.photos, toolbox.observer.facets, settings.person_trigger, toolbox.style, limits
    )
    wanted = toolbox.training(len(dataset.members))
    return training.train_file(
        dataset, output, wanted, settings.person_trigger, toolbox, consent_of(photos.folder), _beside(photos, settings)
    )


def _beside(photos: Photos, settings: Settings) -> Beside:
    """What the training uses beside the dataset."""
    faces = faces_of(photo.seen for photo in photos.selection.photos) if settings.training.face_weight != 1.0 else {}
    return Beside(faces, Path(settings.training.prior_images) if settings.training.prior_images else None)
