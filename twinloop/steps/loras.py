"""Dataset -> lora_vN.safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path

from twinloop.domain.forecast import Forecast
from twinloop.domain.records import Dataset, LoRA, PanelScore
from twinloop.domain.shots import Shot, derive_seed
from twinloop.domain.training_rules import checkpoint_steps
from twinloop.domain.vault import Consent
from twinloop.families.clip import TOKENS, about_tokens
from twinloop.stages import fixed_shots, generate, preflight
from twinloop.stages import train as training
from twinloop.stages.caption_style import remarks_on_captions
from twinloop.stages.generation_record import GenerationContext
from twinloop.stages.identity import IdentityReference
from twinloop.stages.pauses import Pauses, Samples, sample_steps
from twinloop.stages.samples import beside_dataset
from twinloop.stages.training_spec import TrainingSpec
from twinloop.stages.trial import Trial, outcome
from twinloop.steps.panels import Panel, PanelRun, measured_on, score_key
from twinloop.steps.photos import freeze, observations
from twinloop.steps.run import Run
from twinloop.steps.stage_options import trained_with
from twinloop.store.atomic import read_as, write_json
from twinloop.store.pictures.dataset_folders import subject_images
from twinloop.store.pictures.images import upright_sizes
from twinloop.store.run.owner import make_own

SAMPLED = 100
"""Photos whose sizes tell how long a training takes."""


def look_ahead(run: Run) -> Forecast | None:
    """Before the first training: what it will need, whether there is room, and whether the base model makes images of
    the wanted size.

    Returns what was told of its needs; None = nothing.

    Raises:
        StorageError: too little disk. InputError: a size that it does not make. As making the trainer: the base model
            cannot be used.
    """
    space, settings, toolbox = run.workspace, run.settings, run.toolbox
    asked, makers = settings.training, toolbox.makers
    photos = subject_images(Path(settings.dataset_dir), asked.prior_images, asked.masks)
    images = len(photos)
    # a folder without any is told as such, before a base model is loaded
    if space.lora_record(1).exists() or not images:
        return None
    forecast = None
    for remark in preflight.remarks_on_training(settings, makers.training(images), makers.usual_steps, images):
        toolbox.reporter.warn(remark)
    if not settings.training.initial_lora:
        forecast = makers.forecast(images, sizes=upright_sizes(photos, SAMPLED))
    # the base model is loaded now, or is the next thing to be; another program's trainer would have to share the GPU
    # with it
    loads = forecast is not None or bool(settings.training.initial_lora)
    if loads:
        toolbox.tell_device()
    if not settings.training.initial_lora:
        expected = preflight.pictures(settings, makers.generation, makers.training(images))
        preflight.look_ahead(forecast, expected, space.lora_dir, toolbox.reporter)
    if loads:
        makers.generator().check(makers.generation)
    return forecast


def look_at_captions(run: Run, dataset: Dataset, told: Forecast | None) -> None:
    """Warn of captions in another style than the base's, or with another trigger; and tell what the first training will
    need once more, where they turn out so long that it takes more memory than was told.
    """
    settings, style = run.settings, run.toolbox.makers.voice.style
    folder = Path(settings.dataset_dir)
    for remark in remarks_on_captions(folder, settings.person_trigger, style, settings.base_model):
        run.toolbox.reporter.warn(remark)
    captions = [member.caption for member in dataset.members]
    if told is None or all(about_tokens(caption) <= TOKENS for caption in captions):
        return
    sizes = upright_sizes([Path(member.path) for member in dataset.members], SAMPLED)
    found = run.toolbox.makers.forecast(len(captions), captions, sizes)
    if found is not None and found.plan != told.plan:
        run.toolbox.reporter.line(f"With captions of more than {TOKENS} tokens: {found.line}")


def train(run: Run, dataset: Dataset, version: int, best: LoRA | None = None) -> LoRA:
    """lora_vN.safetensors and its record. Version 1 may be a LoRA that the user brings.

    Args:
        best: the version that a later one begins from, where the settings ask for a warm start.
    """
    given, space = run.settings.training.initial_lora, run.workspace
    record, chosen = space.lora_record(version), space.checkpoint_choice(version)
    keys = {record: f"lora_v{version}", chosen: f"checkpoints_v{version}"}
    make_own(space)
    there = record.exists() and space.lora(version).exists()
    if not there:
        for key in keys.values():
            run.make_way(key)
    if version == 1 and given:
        lora = training.adopt(Path(given), dataset, run.workspace, run.toolbox)
    else:
        lora = training.train(dataset, version, _spec(run, dataset, version, best), run.workspace, run.toolbox)
    if there:
        _look_again(run, version, len(dataset.members), keys)
    for path in filter(Path.exists, keys):
        run.mark(keys[path], path)
    if chosen.exists():
        count = read_as(chosen, lambda data: len(data["checkpoints"]))
        run.say(f"  Best of {count} checkpoints: step {lora.steps}")
    done = f"LoRA v1 is the given one ({given})" if version == 1 and given else f"LoRA v{version} complete"
    run.say(f"{'  ' if version > 1 else ''}✓ Training: {done}")
    return lora


def _look_again(run: Run, version: int, images: int, keys: Mapping[Path, str]) -> None:
    """At the records of a version that is there: they are what was written, and a choice of the checkpoint that is
    gone follows from the checkpoints' figures.

    Args:
        keys: of the records in the journal.

    Raises:
        StateError: one was changed since.
    """
    for path, key in keys.items():
        run.check(key, path)
    chosen, steps = run.workspace.checkpoint_choice(version), _checkpoints(run, images)
    if chosen.exists() or not steps or keys[chosen] not in run.journal:
        return
    found = []
    for step in steps:
        if (score := run.workspace.checkpoint_score(version, step)).exists():
            run.check(score_key(_checkpoint_key(version, step)), score)
            found.append(read_as(score, PanelScore.from_json))
    if found:
        write_json(chosen, outcome(steps, found))


def _checkpoints(run: Run, images: int) -> tuple[int, ...]:
    """Steps after which a training on so many images is measured; () = the last one is taken."""
    return checkpoint_steps(run.toolbox.makers.training(images).steps, run.settings.training.keep_checkpoints)


def _checkpoint_key(version: int, step: int) -> str:
    """Of what is measured on a checkpoint, in the journal."""
    return f"checkpoint_v{version}_{step}"


def _spec(run: Run, dataset: Dataset, version: int, best: LoRA | None) -> TrainingSpec:
    images, space, settings = len(dataset.members), run.workspace, run.settings
    wanted = run.toolbox.makers.training(images)
    if best is not None and settings.training.warm_start:
        wanted = replace(wanted, start_from=str(space.lora(best.version)), start_sha256=best.sha256)
    photos, reporter = Path(settings.dataset_dir), run.toolbox.reporter
    return TrainingSpec(
        settings.person_trigger,
        wanted,
        # as it was when the run began: a resumed run writes the same bytes
        read_as(space.dataset(0), lambda data: Consent.from_json(data.get("consent"))),
        beside_dataset(dataset, photos, settings.training, lambda: observations(run, dataset), reporter),
        pauses(run, lambda: freeze(run), version=version, images=images, record=space.checkpoint_choice(version)),
        trained_with(settings),
    )


def pauses(
    run: Run,
    reference: Callable[[], IdentityReference | None],
    *,
    version: int,
    images: int,
    record: Path,
    folder: Callable[[int], Path] | None = None,
) -> Pauses:
    """Where a training on so many images pauses, to measure checkpoints and to draw samples.

    Args:
        reference: what the person looks like; asked once, when the first checkpoint is measured. version: 0 = of no
            run.
        record: where the outcome is written.
        folder: of the samples of a step; None = the run's own.
    """
    space = run.workspace
    return Pauses(
        _trial(run, reference, version, images, record),
        _samples(run, version, images, folder or (lambda step: space.samples(version, step))),
    )


def _samples(run: Run, version: int, images: int, folder: Callable[[int], Path]) -> Samples | None:
    """The images that are drawn on the way, for people; None where none are asked for."""
    steps = sample_steps(run.toolbox.makers.training(images).steps, run.settings.training.sample_every)
    if not steps:
        return None
    toolbox, shots = run.toolbox, _sample_shots(run)
    # by what is drawn: other prompts are other images
    drawn = sha256(json.dumps([shot.to_json() for shot in shots]).encode()).hexdigest()[:8]

    def draw(lora: Path, step: int) -> None:
        context = GenerationContext(
            prefix=f"samples_v{version}_{step}_{drawn}",
            folder=folder(step),
            base_model=toolbox.makers.base_model,
            lora=lora,
            settings=toolbox.makers.generation,
            stamped=False,
            doing=f"Drawing samples of LoRA v{version} at step {step}",
        )
        generate.generate(shots, context, toolbox.makers.generator, run.journal, toolbox.clock, toolbox.reporter)

    return Samples(steps, draw)


def _sample_shots(run: Run) -> list[Shot]:
    settings, toolbox = run.settings, run.toolbox
    seed = derive_seed(settings.seed, "samples")
    return fixed_shots.plan_samples(
        settings.training.sample_prompts,
        toolbox.observer.facets,
        toolbox.makers.voice,
        seed,
        settings.analysis.shares,
    )


def _trial(
    run: Run, reference: Callable[[], IdentityReference | None], version: int, images: int, record: Path
) -> Trial | None:
    """How the best checkpoint is found; None where the last one is taken."""
    steps = _checkpoints(run, images)
    if not steps:
        return None
    space, wanted, person = run.workspace, run.settings.training, cache(reference)
    seed = derive_seed(run.settings.seed, "checkpoints")
    panel = Panel("checkpoint_panel", space.checkpoint_panel, seed, wanted.checkpoint_panel)

    def measured(lora: Path, step: int) -> PanelScore:
        images, score = space.checkpoint_images(version, step), space.checkpoint_score(version, step)
        return measured_on(
            run,
            person(),
            panel,
            PanelRun(
                key=_checkpoint_key(version, step),
                version=step,
                called=f"LoRA v{version}, step {step}",
                lora=lora,
                images=images,
                score=score,
            ),
        )

    return Trial(steps, measured, record, wanted.early_stop)
