"""A folder of photos -> one LoRA."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from twinloop import steps
from twinloop.config import Settings
from twinloop.domain.records import Dataset, LoRA, TrainingSample
from twinloop.errors import InputError, Locked
from twinloop.manual.verdicts import learn_person
from twinloop.ports import TrainingSettings, decisive_generation, decisive_samples, decisive_settings
from twinloop.stages import preflight
from twinloop.stages import train as training
from twinloop.stages.caption_style import remarks_on_captions
from twinloop.stages.identity import IdentityReference
from twinloop.stages.samples import beside_dataset, training_samples
from twinloop.stages.select import Photos
from twinloop.stages.toolbox import Toolbox
from twinloop.stages.training_spec import TrainingSpec
from twinloop.steps.stage_options import trained_with
from twinloop.store.atomic import read_as, read_json, write_json
from twinloop.store.fresh import fresh_folder
from twinloop.store.journal import Journal
from twinloop.store.lock import NAME, Use, locked
from twinloop.store.pictures.sidecar import consent_of
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.in_use import holds_files
from twinloop.store.run.workspace import Workspace


@dataclass(frozen=True)
class TrainingSet:
    """What of a folder is trained on.

    ``person``: what the photos taught, where photos are held out; ``left_out``: (path, reason) of all others.
    """

    photos: Photos
    person: IdentityReference | None
    dataset: Dataset
    left_out: tuple[tuple[str, str], ...]


def training_set(photos: Photos, settings: Settings, toolbox: Toolbox) -> TrainingSet:
    """The pictures of a folder that a LoRA is trained on, with their captions and weights."""
    wanted = settings.training
    holds_out = wanted.keep_checkpoints > 1 or bool(wanted.validate_every)
    person = learn_person(photos, settings, toolbox.observer) if holds_out else None
    held_out = frozenset[str]() if person is None else person.held_out
    first = steps.dataset_of(photos, settings, toolbox, held_out=held_out, made_in=1)
    return TrainingSet(photos, person, first.dataset, first.left_out)


def train_folder(learned: TrainingSet, output: Path, settings: Settings, toolbox: Toolbox, catalog: Catalog) -> LoRA:
    """Train one LoRA on a folder of photos, approved images that were copied into it included.

    Where ``training.keep_checkpoints`` or ``training.validate_every`` asks for it, photos are held out as in a run.
    Checkpoints are then measured in the same way, and ``<stem>.checkpoints.json`` says what each came to. With
    ``training.sample_every`` images are drawn on the way, into ``<stem>_samples/``.

    Raises:
        NothingToDo: no photo to train on. StateError: ``output`` is there and was made from something else.
        InputError: sample images would lie among the photos, or are of a size that the base model cannot make. Locked:
            another command trains that file.
    """
    bench = output.with_name(f".measuring_{output.stem}")
    # what is there needs no folder, nor leave to write
    with nullcontext() if output.exists() else _alone(bench, output):
        lora = _trained(learned, output, bench, settings, toolbox, catalog)
    shutil.rmtree(bench, ignore_errors=True)  # out of the lock: Windows deletes no file that is open
    return lora


_TRAINING = Use("another training", "Wait for it, or name another --output.", "Name an --output on a local disk.")


@contextmanager
def _alone(bench: Path, output: Path) -> Iterator[None]:
    """Nobody else trains that file. ``bench`` is locked, not the folder of checkpoints, which a trainer clears away
    where those are of another order.
    """
    with fresh_folder(bench, worth_keeping=holds_files), ExitStack() as held:
        try:
            held.enter_context(locked(bench, _TRAINING))
        except Locked as error:
            raise Locked(f"{output} is being made by {error.holder}. {_TRAINING.wait}") from error
        yield


def _trained(
    learned: TrainingSet, output: Path, bench: Path, settings: Settings, toolbox: Toolbox, catalog: Catalog
) -> LoRA:
    photos, person, dataset, makers = learned.photos, learned.person, learned.dataset, toolbox.makers
    measured = settings.training.keep_checkpoints > 1
    drawn_into = output.with_name(f"{output.stem}_samples")
    if settings.training.sample_every and photos.folder.resolve() in drawn_into.resolve().parents:
        raise InputError(
            f"The sample images would lie in {drawn_into}, among the photos to train on. Name an --output outside of"
            f" {photos.folder}."
        )
    wanted = makers.training(len(dataset.members))
    for remark in preflight.remarks_on_training(settings, wanted, makers.usual_steps, len(dataset.members)):
        toolbox.reporter.warn(remark)
    trigger, style = settings.person_trigger, makers.voice.style
    for remark in remarks_on_captions(photos.folder, trigger, style, settings.base_model):
        toolbox.reporter.warn(remark)
    seen = [photo.seen for photo in photos.selection.photos]
    beside = beside_dataset(dataset, photos.folder, settings.training, lambda: seen, toolbox.reporter)
    record = output.with_name(f"{output.stem}.checkpoints.json")
    if (measured or settings.training.sample_every) and not output.exists():
        makers.generator().check(makers.generation)  # now, and not at the first pause
        samples = training_samples(dataset, wanted, beside, makers.voice.style, toolbox.reporter)
        _begin(bench, training.work_of(output), drawn_into, _order(samples, wanted, settings, toolbox))
    pauses = steps.pauses(
        _run(bench, settings, toolbox, catalog),
        lambda: person,
        version=0,
        images=len(dataset.members),
        record=record,
        folder=lambda step: drawn_into / f"step_{step:06d}",
    )
    consent, base = consent_of(photos.folder), trained_with(settings)
    spec = TrainingSpec(settings.person_trigger, wanted, consent, beside, pauses, base)
    lora = training.train_file(dataset, output, spec, toolbox, learned.left_out)
    if measured and record.exists():
        count = read_as(record, lambda data: len(data["checkpoints"]))
        toolbox.reporter.line(f"Best of {count} checkpoints: step {lora.steps} ({record})")
    return lora


def _run(bench: Path, settings: Settings, toolbox: Toolbox, catalog: Catalog) -> steps.Run:
    """A run that is nothing but the pauses of a training."""
    space = Workspace(bench, bench)
    return steps.Run(settings, toolbox, space, Journal(space.journal), catalog)


_TOLD_ELSEWHERE = ("precision", "negative", "distilled")
"""Settings of generation that are among what it is trained with, or that the base model tells."""


def _order(samples: Sequence[TrainingSample], wanted: TrainingSettings, settings: Settings, toolbox: Toolbox) -> str:
    """Hash of all that decides the checkpoints and their scores; where the photos lie does not matter."""
    makers, voice = toolbox.makers, toolbox.makers.voice
    panel = [decisive_generation(makers.generation, _TOLD_ELSEWHERE), voice.style, toolbox.observer.fingerprint]
    asked = [settings.training.checkpoint_panel, settings.generation.negative_prompt, settings.validation.identity]
    asked += [] if settings.validation.faces else ["faces: false"]
    asked += [text for text in (voice.around.prefix, voice.around.suffix) if text is not None]
    whole = json.dumps(
        [
            decisive_samples(samples),
            decisive_settings(wanted),
            makers.base_model,
            trained_with(settings),
            panel,
            asked,
        ]
    )
    return hashlib.sha256(whole.encode()).hexdigest()


def _begin(bench: Path, work: Path, drawn_into: Path, order: str) -> None:
    """Go on with what a killed training of the same order left behind; that of another one, its samples too, is cleared
    away.
    """
    kept = bench / "order.json"
    if kept.exists() and read_json(kept) == order:
        return
    for stale in (*bench.glob("*"), work / training.CANDIDATES, *drawn_into.glob("step_*")):
        if stale.is_dir():
            shutil.rmtree(stale, ignore_errors=True)
        elif stale.name != NAME:
            stale.unlink(missing_ok=True)
    write_json(kept, order)
