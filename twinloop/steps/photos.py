"""The photos of the dataset folder -> dataset_iter0.json, and what the person looks like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from twinloop.config import Settings
from twinloop.domain.likeness import Likeness
from twinloop.domain.observation import Observation
from twinloop.domain.records import Dataset
from twinloop.domain.wording import none_can_be_used, plural
from twinloop.errors import NothingToDo, StateError
from twinloop.stages import merge as merging
from twinloop.stages import select
from twinloop.stages.identity import IdentityReference, freeze_reference, reference_from_json, reference_to_json
from twinloop.stages.masks import check_masks
from twinloop.stages.observe import observe_files
from twinloop.stages.vault.dataset.readiness import SOME, TOO_FEW
from twinloop.steps.datasets import merge_limits
from twinloop.steps.run import Run
from twinloop.store.atomic import read_json, write_json
from twinloop.store.images import find_images
from twinloop.store.sidecar import consent_of
from twinloop.store.workspace import shown_path


def look_at_masks(settings: Settings) -> None:
    """Whether the masks of the photos can be used, where there are to be any; before photos are looked at.

    Raises:
        InputError: they cannot; says which.
    """
    if settings.training.masks:
        check_masks(Path(settings.training.masks), Path(settings.dataset_dir))


def collect(run: Run) -> Dataset:
    """dataset_iter0.json: the usable photos of the dataset folder, and what was left out and why."""
    path = run.workspace.dataset(0)
    if not path.exists() or _nothing_to_train_on(run, path):
        look_at_masks(run.settings)
        found = list(
            observe_files(
                find_images(Path(run.settings.dataset_dir)),
                run.toolbox.observer,
                run.catalog,
                run.toolbox.reporter,
                "Observing",
            )
        )
        for item in found:
            if item.problem:
                run.toolbox.reporter.warn(f"skipped {item.path.name}: {item.problem}")
        selection = select.originals(select.select(found, rules(run.settings, run.toolbox.observer.likeness)))
        if not selection.photos:
            raise NothingToDo(no_photos_message(run.settings.dataset_dir, selection))
        likeness = run.toolbox.observer.likeness
        if several := select.several_people_message(selection.photos, run.settings.dataset_dir, likeness):
            run.toolbox.reporter.warn(several)
        held_out = _held_out(run, [photo.seen for photo in selection.photos])
        dataset = merging.first_dataset(
            selection.photos, run.toolbox.observer.facets, run.settings.person_trigger, run.toolbox.style,
            merge_limits(run.settings), held_out,
        )  # fmt: skip
        used = {member.path for member in dataset.members}
        too_many = [(p.path, TOO_MANY_MADE) for p in selection.photos if shown_path(p.path) not in used]
        left_out = [{"path": shown_path(p), "reason": reason} for p, reason in (*selection.left_out, *too_many)]
        consent = consent_of(Path(run.settings.dataset_dir))
        drawn = {"drawn": True} if selection.drawn else {}
        write_json(path, {**dataset.to_json(), "left_out": left_out, "consent": consent.to_json(), **drawn})
    run.mark("collect", path)
    data = read_json(path)
    dataset = Dataset.from_json(data)
    run.say(f"Dataset: {_counted(dataset)} used, {len(data['left_out'])} left out (see {run.workspace.show(path)})")
    if data.get("drawn"):
        run.say(DRAWN)
    if few := few_photos_message(len(dataset.real)):
        run.toolbox.reporter.warn(few)
    pack = run.toolbox.observer.pack
    if pack.brief:
        run.say(pack.brief)
    for line in pack.missing:
        run.toolbox.reporter.warn(line)
    return dataset


TOO_MANY_MADE = "a made image more than merge.max_synthetic_share allows"
DRAWN = (
    "Every image carries the mark of a generator: they are taken as the originals of a character that has no photos."
)


def _nothing_to_train_on(run: Run, path: Path) -> bool:
    """Whether an earlier version began the run with images by generators only, and could not go on."""
    return not run.workspace.lora_record(1).exists() and not any(
        m.weight > 0 for m in Dataset.from_json(read_json(path)).members
    )


def _counted(dataset: Dataset) -> str:
    """Photos and made images, as words."""
    made = sum(member.weight > 0 for member in dataset.synthetic)
    photos = plural(len(dataset.real), "photo")
    return f"{photos} and {plural(made, 'made image')}, which weigh less," if made else photos


def no_photos_message(folder: str, selection: select.Selection) -> str:
    """Why nothing is left, with the three most frequent reasons."""
    if not selection.left_out:
        return f"No images in {folder}. Put photos of the person there (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC)."
    examples = "\n".join(f"  - {path.name}: {reason}" for path, reason in selection.left_out[:3])
    return f"{none_can_be_used(len(selection.left_out), 'image', f'in {folder}')}:\n{examples}"


def few_photos_message(count: int) -> str:
    """What is to be said of so many real photos; "" where there are enough to learn a person from."""
    if count >= TOO_FEW:
        return ""
    return (
        f"only {plural(count, 'real photo')}: a LoRA of so few learns the photos by heart; add {TOO_FEW - count} at"
        f" least, better {SOME - count}"
    )


def rules(settings: Settings, likeness: Likeness) -> tuple[select.Rule, ...]:
    return select.READABLE_ONLY if settings.analysis.keep_all else select.dataset_rules(likeness)


def _held_out(run: Run, photos: Sequence[Observation]) -> frozenset[str]:
    reference = (
        freeze_reference(photos, run.toolbox.observer.fingerprint, run.toolbox.observer.strangers)
        if run.settings.validation.identity
        else None
    )
    return reference.held_out if reference is not None else frozenset()


def observations(run: Run, dataset: Dataset) -> list[Observation]:
    """What was seen in every member, from the catalogue or anew.

    Raises:
        StateError: a member's file is gone or no longer the same.
    """
    found = observe_files(
        [Path(m.path) for m in dataset.members], run.toolbox.observer, run.catalog, run.toolbox.reporter, "Observing"
    )
    seen = []
    for member, item in zip(dataset.members, found, strict=True):
        if item.observation is None or item.observation.sha256 != member.sha256:
            raise StateError(
                f"{member.path} is gone or was changed since this run began. Put it back, or start anew with --restart."
            )
        seen.append(replace(item.observation, origin=member.origin))
    return seen


def freeze(run: Run) -> IdentityReference | None:
    """identity_reference.json: what the person looks like to the embedder, before anything was made."""

    def make() -> Any:
        if not run.settings.validation.identity:
            return {"measured": False, "why": "validation.identity is false"}
        photos = observations(run, Dataset.from_json(read_json(run.workspace.dataset(0))))
        return reference_to_json(
            freeze_reference(photos, run.toolbox.observer.fingerprint, run.toolbox.observer.strangers)
        )

    reference = reference_from_json(run.artefact("identity", run.workspace.identity, make, private=True))
    if reference is None and run.settings.validation.identity and run.toolbox.observer.pack.embedder is not None:
        run.toolbox.reporter.warn("identity is not checked: no face of the photos could be embedded")
    return reference
