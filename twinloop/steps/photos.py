"""The photos of the dataset folder -> dataset_iter0.json, and what the person looks like."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twinloop.config import Settings
from twinloop.domain.choices import Subject
from twinloop.domain.json_fields import count, entry, entry_or, flag, list_of, text
from twinloop.domain.observation import Observation
from twinloop.domain.photo_counts import SOME, TOO_FEW
from twinloop.domain.records import Dataset
from twinloop.domain.wording import plural
from twinloop.errors import InputError, StateError
from twinloop.ports import Reporter
from twinloop.stages import select
from twinloop.stages.identity import HOLD_OUT_FROM, IdentityReference, learned, reference_from_json, reference_to_json
from twinloop.stages.masks import check_masks
from twinloop.stages.observe import Observer, observe_files
from twinloop.stages.samples import without_prior
from twinloop.steps.datasets import dataset_of
from twinloop.steps.lost_images import lost_image
from twinloop.steps.run import Run
from twinloop.steps.stage_options import reading
from twinloop.store.atomic import read_as
from twinloop.store.pictures.sidecar import consent_of
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import Workspace

NO_FACES = "No face is looked for (validation.faces is false): identity is not measured."


def look_beside_photos(settings: Settings) -> None:
    """Whether the masks of the photos and the pictures of others can be used, where there are to be any; before photos
    are looked at.

    Raises:
        InputError: they cannot; says which.
    """
    asked = settings.training
    if asked.masks:
        check_masks(Path(asked.masks), Path(settings.dataset_dir))
    if asked.prior_images and (empty := without_prior(Path(asked.prior_images))):
        raise InputError(f"training.prior_images: {empty}")


def look_at_folder(
    folder: Path, settings: Settings, observer: Observer, catalog: Catalog, reporter: Reporter
) -> select.Photos:
    """Observe a folder and select from it, as the settings say.

    Raises:
        as `select.look_at`.
    """
    return select.look_at(folder, reading(settings, observer.pack.likeness), observer, catalog, reporter)


def recall_folder(folder: Path, settings: Settings, observer: Observer, catalog: Catalog) -> select.Photos | None:
    """As `look_at_folder`, where the catalogue knows all pictures; None where it does not. Nothing is measured or told.

    Raises:
        InputError: no such folder.
    """
    return select.recall(folder, reading(settings, observer.pack.likeness), observer, catalog)


def collect(run: Run) -> Dataset:
    """dataset_iter0.json: the usable photos of the dataset folder, and what was left out and why."""
    path = run.workspace.dataset(0)
    run.artefact("collect", path, lambda: _first_dataset(run))
    dataset = read_as(path, Dataset.from_json)
    _say_dataset(run, dataset, read_as(path, Beside.from_json))
    return dataset


@dataclass(frozen=True)
class Beside:
    """What dataset_iter0.json says beside its members.

    Attributes:
        left_out: (path, reason). made_elsewhere: usable images that another generator made. drawn: all are made ones.
    """

    left_out: tuple[tuple[str, str], ...]
    made_elsewhere: int
    drawn: bool

    @classmethod
    def from_json(cls, data: Any) -> Beside:
        """Raises ValueError where it is no such record; names the field."""
        return cls(
            entry_or(data, "left_out", list_of(_left_out), ()),
            entry_or(data, "made_elsewhere", count, 0),
            entry_or(data, "drawn", flag, False),
        )


def _left_out(data: Any) -> tuple[str, str]:
    return entry(data, "path", text), entry(data, "reason", text)


CHANGED_PHOTO = "{path} is gone or was changed since this run began. Put it back, or start anew with --restart."


def _first_dataset(run: Run) -> dict[str, Any]:
    """The record of the dataset.

    Raises:
        InputError: most pictures of a drawn character would be left out, because no face was found in them.
    """
    settings, toolbox, folder = run.settings, run.toolbox, Path(run.settings.dataset_dir)
    look_beside_photos(settings)
    photos = look_at_folder(folder, settings, toolbox.observer, run.catalog, toolbox.reporter)
    if few := select.left_out_faceless_message(photos):
        if settings.subject == "character":
            raise InputError(f"{few[0].upper()}{few[1:]} Then start anew with --restart.")
        toolbox.reporter.warn(few)
    seen = [photo.seen for photo in photos.selection.photos]
    reference = learned(seen, toolbox.observer, settings.validation.measures_identity)
    held_out = frozenset[str]() if reference is None else reference.held_out
    first = dataset_of(photos, settings, toolbox, held_out=held_out, made_in=0)
    return {
        **first.dataset.to_json(),
        "left_out": [{"path": path, "reason": reason} for path, reason in first.left_out],
        "consent": consent_of(folder).to_json(),
        **({"drawn": True} if photos.selection.all_made else {}),
        **({"made_elsewhere": elsewhere} if (elsewhere := photos.selection.made_elsewhere) else {}),
    }


def _say_dataset(run: Run, dataset: Dataset, beside: Beside) -> None:
    """What the run has to learn from, and by what it is measured."""
    path, pack = run.workspace.dataset(0), run.toolbox.observer.pack
    character = run.settings.subject == "character"
    used = _counted(dataset, "picture" if character else "photo")
    run.say(f"Dataset: {used} used, {len(beside.left_out)} left out (see {run.workspace.show(path)})")
    if made := select.made_message(len(dataset.members), beside.made_elsewhere, beside.drawn, character):
        run.say(made)
    if run.toolbox.observer.pack.faceless:
        run.say(NO_FACES)
    if few := few_photos_message(len(dataset.real), run.settings.subject):
        run.toolbox.reporter.warn(few)
    if none := no_validation_message(dataset, run.settings):
        run.toolbox.reporter.warn(none)
    if pack.brief:
        run.say(pack.brief)
    for line in pack.missing:
        run.toolbox.reporter.warn(line)


def _counted(dataset: Dataset, noun: str) -> str:
    """Photos (``noun``) and made images, as words."""
    made = sum(member.weight > 0 for member in dataset.synthetic)
    photos = f"{plural(len(dataset.real), noun)}{told_held_out(dataset)}"
    return f"{photos} and {plural(made, 'generated image')}, which weigh less," if made else photos


def told_held_out(dataset: Dataset) -> str:
    """How many of the photos are not trained on, in brackets; "" where all are."""
    held_out = sum(member.weight == 0 for member in dataset.real)
    return f" ({len(dataset.real) - held_out} trained on, {held_out} held out for measuring)" if held_out else ""


def few_photos_message(count: int, subject: Subject) -> str:
    """What is to be said of so many real photos; "" where there are enough to learn a person from."""
    if count >= TOO_FEW:
        return ""
    one, many = ("real photo", "photos") if subject == "person" else ("picture", "pictures")
    return (
        f"only {plural(count, one)}: a LoRA of so few learns the {many} by heart; add {TOO_FEW - count} at least,"
        f" better {SOME - count}"
    )


def no_validation_message(dataset: Dataset, settings: Settings) -> str:
    """Why there is no validation loss though it is asked for; "" where there is one, or it is not."""
    if not settings.training.validate_every or any(member.weight == 0 for member in dataset.real):
        return ""
    count = len(dataset.real)
    measured = "" if count < HOLD_OUT_FROM else " in which identity is measured"
    return (
        "no validation loss (training.validate_every): photos are held out of the training only where there are"
        f" {HOLD_OUT_FROM} or more{measured}; there are {'fewer' if measured else count}"
    )


def observations(run: Run, dataset: Dataset) -> list[Observation]:
    """What was seen in every member, from the catalogue or anew.

    Raises:
        StateError: a member's file is gone or no longer the same.
    """
    toolbox = run.toolbox
    return observations_of(dataset, run.workspace, toolbox.observer, run.catalog, toolbox.reporter)


def observations_of(
    dataset: Dataset, workspace: Workspace, observer: Observer, catalog: Catalog, reporter: Reporter
) -> list[Observation]:
    """The same, of a run that is only looked at."""
    found = observe_files([Path(m.path) for m in dataset.members], observer, catalog, reporter, "Observing")
    seen = []
    for member, item in zip(dataset.members, found, strict=True):
        if item.observation is None or item.observation.sha256 != member.sha256:
            raise StateError(lost_image(workspace, member) if member.round else CHANGED_PHOTO.format(path=member.path))
        seen.append(replace(item.observation, origin=member.origin))
    return seen


def freeze(run: Run) -> IdentityReference | None:
    """identity_reference.json: what the person looks like to the embedder, before anything was made.

    Raises:
        StateError: as `observations`: also where the reference is on record, before a panel is drawn with a LoRA whose
            photos are gone.
    """
    photos = observations(run, read_as(run.workspace.dataset(0), Dataset.from_json))

    def make() -> Any:
        wanted = run.settings.validation
        if not wanted.measures_identity:
            return {"measured": False, "why": f"validation.{'identity' if wanted.faces else 'faces'} is false"}
        return reference_to_json(learned(photos, run.toolbox.observer, wanted=True))

    run.artefact("identity", run.workspace.identity, make, private=True)
    reference = read_as(run.workspace.identity, reference_from_json)
    if (
        reference is None
        and run.settings.validation.measures_identity
        and run.toolbox.observer.pack.embedder is not None
    ):
        run.toolbox.reporter.warn("identity is not checked: no face of the photos could be embedded")
    return reference
