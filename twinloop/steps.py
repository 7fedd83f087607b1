"""The loop's steps: stages bound to their artefacts. A step is done when its artefact is there; the journal says what was decided."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.checks.base import Limits
from twinloop.config import Settings
from twinloop.domain.observation import Observation
from twinloop.domain.records import Dataset, LoRA, PanelScore
from twinloop.domain.shots import Gap, Shot, derive_seed
from twinloop.domain.vault import Consent
from twinloop.domain.verdicts import Outcome as Judgement
from twinloop.errors import NothingToDo, StateError, WaitingForReview
from twinloop.report.page import write_report
from twinloop.stages import analyze, assess, decide, plan, preflight, select
from twinloop.stages import generate as generating
from twinloop.stages import merge as merging
from twinloop.stages import review as reviewing
from twinloop.stages import train as training
from twinloop.stages import validate as validating
from twinloop.stages.decide import Decision, StopRule
from twinloop.stages.identity import IdentityReference, freeze_reference, reference_from_json, reference_to_json
from twinloop.stages.observe import observe_files
from twinloop.stages.pick import picked
from twinloop.stages.rounds import Outcome, Round, history_json
from twinloop.stages.samples import Beside, faces_of
from twinloop.stages.toolbox import Toolbox
from twinloop.stages.trial import Trial, checkpoint_steps
from twinloop.stages.validate import Judged
from twinloop.store.atomic import copy_whole, read_json, remove_leftovers, sha256_file, write_json
from twinloop.store.catalog import Catalog
from twinloop.store.images import find_images
from twinloop.store.journal import Journal
from twinloop.store.lora_file import kohya_path
from twinloop.store.sidecar import consent_of
from twinloop.store.versions import versions
from twinloop.store.workspace import Workspace, shown_path


@dataclass(frozen=True)
class Run:
    """One run in progress."""

    settings: Settings
    toolbox: Toolbox
    workspace: Workspace
    journal: Journal
    catalog: Catalog

    def say(self, text: str) -> None:
        self.toolbox.reporter.line(text)

    def artefact(self, key: str, path: Path, make: Callable[[], Any], private: bool = False) -> Any:
        """The JSON at ``path``, made first when it is not there (``private``: for the owner only); its hash goes into the journal once."""
        if not path.exists():
            write_json(path, make(), private)
        self.mark(key, path)
        return read_json(path)

    def mark(self, key: str, path: Path) -> None:
        if key not in self.journal:
            self.journal.record(key, sha256_file(path))


def settings_fingerprint(settings: Settings) -> str:
    """Of everything in the settings that decides results."""
    return hashlib.sha256(json.dumps(settings.identity_fields(), sort_keys=True).encode()).hexdigest()[:16]


def begin(run: Run) -> None:
    """Clear away what a killed run was just writing, and note what this folder is for, or make sure that it is for the same.

    Raises:
        StateError: other settings; names the fields.
    """
    for folder in (run.workspace.root, run.workspace.lora_dir):
        remove_leftovers(folder)
    record = {"settings": run.settings.identity_fields(), "observer": run.toolbox.observer.fingerprint}
    analyze.check_shares(run.toolbox.observer.facets, run.settings.analysis.shares)
    kept = run.artefact("run", run.workspace.run_record, lambda: record)
    if not run.workspace.versions.exists():
        write_json(run.workspace.versions, versions())
    old, new = _flat(_complete(kept)), _flat(json.loads(json.dumps(record)))
    changed = [
        f"{name}: {old.get(name)!r} -> {new.get(name)!r}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    if changed:
        listed = "\n".join(f"  - {line}" for line in changed)
        raise StateError(
            f"{run.workspace.root} was started with other settings:\n{listed}\n"
            "Use another output_dir, or start anew with --restart (the old folder is kept under a new name)."
        )


def look_ahead(run: Run) -> None:
    """Before the first training: what it will need, and whether there is room.

    Raises:
        StorageError: too little disk. As making the trainer: the base model cannot be used.
    """
    space, settings = run.workspace, run.settings
    if space.lora_record(1).exists() or settings.training.initial_lora:
        return
    expected = preflight.pictures(settings, run.toolbox.generation)
    images = len(find_images(Path(settings.dataset_dir)))
    if images:  # a folder without any is told as such, before a base model is loaded
        preflight.look_ahead(run.toolbox.forecast(images), expected, space.lora_dir, run.toolbox.reporter)


def _complete(kept: Any) -> Any:
    """A run that an older version began lacks fields that are new since: they had their default."""
    try:
        settings = Settings.model_validate({"dataset_dir": "-", **kept["settings"]}).identity_fields()
    except (ValueError, KeyError, TypeError):
        return kept
    return {**kept, "settings": json.loads(json.dumps(settings))}


def _flat(data: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(data, dict):
        return {prefix: data}
    return {
        name: value
        for key, item in data.items()
        for name, value in _flat(item, f"{prefix}.{key}" if prefix else str(key)).items()
    }


def collect(run: Run) -> Dataset:
    """dataset_iter0.json: the usable photos of the dataset folder, and what was left out and why."""
    path = run.workspace.dataset(0)
    if not path.exists():
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
        selection = select.select(found, rules(run.settings))
        if not selection.photos:
            raise NothingToDo(no_photos_message(run.settings.dataset_dir, selection))
        held_out = _held_out(run, [photo.seen for photo in selection.photos])
        dataset = merging.real_dataset(
            selection.photos, run.toolbox.observer.facets, run.settings.person_trigger, run.toolbox.style, held_out
        )
        left_out = [{"path": shown_path(p), "reason": reason} for p, reason in selection.left_out]
        consent = consent_of(Path(run.settings.dataset_dir))
        write_json(path, {**dataset.to_json(), "left_out": left_out, "consent": consent.to_json()})
    run.mark("collect", path)
    data = read_json(path)
    dataset = Dataset.from_json(data)
    run.say(
        f"Dataset: {len(dataset.members)} photos used, {len(data['left_out'])} left out (see {run.workspace.show(path)})"
    )
    pack = run.toolbox.observer.pack
    if pack.spoken:
        run.say(pack.spoken)
    for line in pack.missing:
        run.toolbox.reporter.warn(line)
    return dataset


def no_photos_message(folder: str, selection: select.Selection) -> str:
    """Why nothing is left, with the three most frequent reasons."""
    if not selection.left_out:
        return f"No images in {folder}. Put photos of the person there (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC)."
    examples = "\n".join(f"  - {path.name}: {reason}" for path, reason in selection.left_out[:3])
    return f"None of the {len(selection.left_out)} images in {folder} can be used:\n{examples}"


def rules(settings: Settings) -> tuple[select.Rule, ...]:
    return select.READABLE_ONLY if settings.analysis.keep_all else select.DATASET_RULES


def _held_out(run: Run, photos: Sequence[Observation]) -> frozenset[str]:
    reference = freeze_reference(photos, run.toolbox.observer.fingerprint, run.toolbox.observer.strangers) if run.settings.validation.identity else None
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
        seen.append(item.observation)
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

    return reference_from_json(run.artefact("identity", run.workspace.identity, make, private=True))


def train(run: Run, dataset: Dataset, version: int) -> LoRA:
    """lora_vN.safetensors and its record. Version 1 may be a LoRA that the user brings."""
    given = run.settings.training.initial_lora
    if version == 1 and given:
        lora = training.adopt(Path(given), dataset, run.workspace, run.toolbox)
    else:
        lora = training.train(
            dataset,
            version,
            run.toolbox.training(len(dataset.members)),
            run.settings.person_trigger,
            run.workspace,
            run.toolbox,
            # as it was when the run began: a resumed run writes the same bytes
            Consent.from_json(read_json(run.workspace.dataset(0)).get("consent")),
            _beside(run, dataset),
            _trial(run, version, len(dataset.members)),
        )
    run.mark(f"lora_v{version}", run.workspace.lora_record(version))
    chosen = run.workspace.checkpoint_choice(version)
    if chosen.exists():
        run.mark(f"checkpoints_v{version}", chosen)
        run.say(f"  Best of {len(read_json(chosen)['checkpoints'])} checkpoints: step {lora.steps}")
    run.say(f"  ✓ Training: LoRA v{version} complete" if version > 1 else "✓ Training: LoRA v1 complete")
    return lora


def _beside(run: Run, dataset: Dataset) -> Beside:
    """What the training uses beside the dataset, as far as the settings ask for it."""
    wanted = run.settings.training
    faces = faces_of(observations(run, dataset)) if wanted.face_weight != 1.0 else {}
    return Beside(faces, Path(wanted.prior_images) if wanted.prior_images else None)


def _trial(run: Run, version: int, images: int) -> Trial | None:
    """How the best checkpoint of a training is found; None where the last one is taken."""
    wanted = run.settings.training
    steps = checkpoint_steps(run.toolbox.training(images).steps, wanted.keep_checkpoints)
    if not steps:
        return None
    reference = freeze(run)

    def measured(lora: Path, step: int) -> PanelScore:
        space, key = run.workspace, f"checkpoint_v{version}_{step}"
        panel = Panel("checkpoint_panel", space.checkpoint_panel, derive_seed(run.settings.seed, "checkpoints"), wanted.checkpoint_panel)
        return _measured(run, reference, panel, Portrait(key, step, lora, space.checkpoint_images(version, step), space.checkpoint_score(version, step)))

    return Trial(steps, measured, run.workspace.checkpoint_choice(version), wanted.early_stop)


@dataclass(frozen=True)
class Panel:
    """Fixed prompts and seeds: the artefact they lie in, the seed they come from, and their number."""

    key: str
    path: Path
    seed: int
    images: int


@dataclass(frozen=True)
class Portrait:
    """One LoRA on a panel: journal key, number that its score carries, file, and where images and score go."""

    key: str
    version: int
    lora: Path
    images: Path
    score: Path


def measure(run: Run, reference: IdentityReference | None, lora: LoRA) -> PanelScore:
    """panel_vN/ and panel_vN.json: this LoRA on the fixed panel."""
    space, version = run.workspace, lora.version
    panel = Panel("panel", space.panel, run.settings.seed, run.settings.panel.images)
    return _measured(
        run, reference, panel,
        Portrait(f"panel_v{version}", version, space.lora(version), space.panel_images(version), space.panel_score(version)),
    )  # fmt: skip


def _measured(run: Run, reference: IdentityReference | None, panel: Panel, portrait: Portrait) -> PanelScore:
    """Make the panel's images with a LoRA and measure them, as far as that is not done."""
    settings, toolbox = run.settings, run.toolbox
    facets = toolbox.observer.facets
    run.artefact(
        panel.key, panel.path,
        lambda: generating.shots_json(plan.plan_panel(facets, settings.person_trigger, toolbox.style, panel.seed, panel.images, settings.generation.negative_prompt), 0),
    )  # fmt: skip
    shots = [Shot.from_json(item) for item in read_json(panel.path)["shots"]]
    context = generating.GenerationContext(
        portrait.key, portrait.images, toolbox.base_model, portrait.lora, toolbox.generation, stamped=False
    )
    made = generating.generate(shots, context, toolbox.generator, run.journal, toolbox.clock, toolbox.reporter)
    score = run.artefact(
        f"{portrait.key}.score", portrait.score,
        lambda: assess.assess(made, portrait.version, toolbox.observer, run.catalog, reference, toolbox.reporter).to_json(),
    )  # fmt: skip
    return PanelScore.from_json(score)


def find_gaps(run: Run, dataset: Dataset, iteration: int) -> tuple[Gap, ...]:
    """gaps_iterN.json."""

    def make() -> Any:
        result = analyze.analyze(observations(run, dataset), run.toolbox.observer.facets, run.settings.analysis.shares)
        left_out = [(item["path"], item["reason"]) for item in read_json(run.workspace.dataset(0))["left_out"]]
        return analyze.analysis_json(
            result, person=run.settings.person_name, dataset=shown_path(Path(run.settings.dataset_dir)),
            iteration=iteration, left_out=left_out,
            missing=run.toolbox.observer.pack.missing, settings=settings_fingerprint(run.settings),
        )  # fmt: skip

    data = run.artefact(f"iter{iteration}.gaps", run.workspace.gaps(iteration), make)
    if iteration == 1:
        for facet, why in data["not_measured"].items():
            run.toolbox.reporter.warn(f"{facet}: not measured ({why})")
    try:
        return analyze.gaps_from_json(data)
    except ValueError as error:
        raise StateError(f"{run.workspace.gaps(iteration)}: {error}. Correct it, or delete it and run the same command again.") from None


def say_gaps(run: Run, gaps: Sequence[Gap], rounds: Sequence[Round]) -> None:
    """The head of an iteration."""
    fewer = bool(rounds) and len(gaps) < rounds[-1].facts.gaps
    run.say(f"\nIteration {len(rounds) + 1}:")
    run.say(f"  ✓ Gap Analysis: {len(gaps)} gap{'' if len(gaps) == 1 else 's'} found{' (improving!)' if fewer else ''}")


def generate(run: Run, gaps: Sequence[Gap], lora: LoRA, iteration: int) -> None:
    """shots_iterN.json and synthetic_iterN/."""
    toolbox = run.toolbox
    data = run.artefact(f"iter{iteration}.shots", run.workspace.shots(iteration), lambda: _shots(run, gaps, iteration))
    shots = [Shot.from_json(item) for item in data["shots"]]
    if not shots:
        raise StateError(
            f"No shot can be planned for these gaps: {', '.join(f'{g.facet}/{g.value}' for g in gaps)}. Is a plug-in missing in analysis.plugins?"
        )
    context = generating.GenerationContext(
        f"iter{iteration}",
        run.workspace.synthetic(iteration),
        toolbox.base_model,
        run.workspace.lora(lora.version),
        toolbox.generation,
        dataset=shown_path(Path(run.settings.dataset_dir)),
    )
    made = generating.generate(shots, context, toolbox.generator, run.journal, toolbox.clock, toolbox.reporter)
    run.say(f"  ✓ Generated: {len(made)} images")


def _shots(run: Run, gaps: Sequence[Gap], iteration: int) -> Any:
    settings = run.settings
    photos = tuple(m.path for m in Dataset.from_json(read_json(run.workspace.dataset(0))).real)
    return generating.shots_json(
        plan.plan(gaps, run.toolbox.observer.facets, plan_settings(settings, run.toolbox.style, iteration, photos)),
        iteration,
    )


def plan_settings(settings: Settings, style: str, iteration: int, photos: tuple[str, ...]) -> plan.PlanSettings:
    return plan.PlanSettings(
        trigger=settings.person_trigger, style=style, seed=settings.seed, iteration=iteration, num_per_gap=settings.generation.num_per_gap,
        negative=settings.generation.negative_prompt, from_photos=settings.generation.from_photos, photos=photos,
    )  # fmt: skip


def limits_of(settings: Settings, reference: IdentityReference | None) -> Limits:
    """The checks' limits from the settings and from what the real photos taught."""
    wanted = settings.validation
    return Limits(
        blur_threshold=wanted.blur_threshold, min_brightness=wanted.min_brightness, max_brightness=wanted.max_brightness,
        min_face_confidence=wanted.min_face_confidence, min_face_quality=wanted.min_face_quality, novelty_distance=wanted.novelty_distance,
        sharpness=wanted.sharpness, real_sharpness=reference.sharpness if reference is not None else None, sharpness_share=wanted.sharpness_share, identity_tolerance=wanted.identity_tolerance,
    )  # fmt: skip


def validate(run: Run, reference: IdentityReference | None, dataset: Dataset, iteration: int) -> list[Judged]:
    """verdicts_iterN.json and the folders approved, rejected and unsure."""
    space = run.workspace
    limits = limits_of(run.settings, reference)
    hashes = [(Path(m.path).name, o.phash) for m, o in zip(dataset.members, observations(run, dataset), strict=True)]
    asked = validating.asked_images(space.synthetic(iteration), run.toolbox.observer.facets)
    judged = validating.judge(asked, run.toolbox.observer, run.catalog, limits, reference, hashes, run.toolbox.reporter)
    if run.settings.validation.auto_filter:
        validating.sort_into(judged, folders(space, iteration))
    verdicts = [item.verdict for item in judged]
    run.artefact(
        f"iter{iteration}.verdicts",
        space.verdicts(iteration),
        lambda: validating.verdicts_json(verdicts, limits, settings_fingerprint(run.settings)),
    )
    counts = validating.tally(verdicts)
    unsure = f", {counts.unsure} unsure" if counts.unsure else ""
    run.say(f"  ✓ Validation: {counts.approved} approved ({counts.approval:.0%}){unsure}")
    return judged


def review(run: Run, judged: list[Judged], iteration: int) -> list[Judged]:
    """review_iterN.json, where the settings ask for one: a person's word goes over the checks'.

    Raises:
        WaitingForReview: it is not finished yet.
    """
    if not reviewing.wanted(run.settings.review, iteration):
        return judged
    path = run.workspace.review(iteration)
    said = reviewing.Review.read(path, iteration)
    if not said.finished:
        raise WaitingForReview(
            f"Round {iteration} waits for your review: {len(judged)} images in {run.workspace.show(run.workspace.synthetic(iteration))}.\n"
            f"Look at them with: twinloop ui --run {run.workspace.show(run.workspace.root)}\n"
            f"or without a browser: twinloop review {run.workspace.show(run.workspace.root)} --help. Then run the same command again."
        )
    run.mark(f"iter{iteration}.review", path)
    final = reviewing.overruled(judged, said)
    if run.settings.validation.auto_filter:
        validating.sort_into(final, folders(run.workspace, iteration))
    run.say(f"  ✓ Review: {len(said.opinions)} decisions by a person, {validating.tally([item.verdict for item in final]).approved} approved")
    return final


def merge_limits(settings: Settings) -> merging.MergeLimits:
    wanted = settings.merge
    return merging.MergeLimits(wanted.max_synthetic_share, wanted.real_to_synthetic_weight, wanted.decay)


def folders(space: Workspace, iteration: int) -> dict[Judgement, Path]:
    return {
        Judgement.APPROVED: space.approved(iteration),
        Judgement.REJECTED: space.rejected(iteration),
        Judgement.UNSURE: space.unsure(iteration),
    }


def merge(
    run: Run, dataset: Dataset, judged: Sequence[Judged], gaps: Sequence[Gap], iteration: int
) -> tuple[Dataset, int]:
    """dataset_iterN.json: the dataset with the approved images."""
    settings = run.settings
    limits = merge_limits(settings)
    approved = [item for item in judged if item.verdict.outcome is Judgement.APPROVED]
    merged, joined = merging.merge(
        dataset,
        approved,
        gaps,
        run.toolbox.observer.facets,
        settings.person_trigger,
        run.toolbox.style,
        iteration,
        limits,
    )
    data = run.artefact(f"iter{iteration}.dataset", run.workspace.dataset(iteration), merged.to_json)
    run.say(f"  ✓ Merged: {len(joined)} images into dataset")
    return Dataset.from_json(data), len(joined)


def stop_rules(settings: Settings) -> tuple[StopRule, ...]:
    """All rules that can end a run, in the order they are asked."""
    stop = settings.stop
    return (
        decide.NothingApproved(),
        decide.Drifting(stop.drift_rounds),
        decide.HighApproval(stop.approval_rate, stop.approval_rounds),
        decide.SmallImprovement(settings.convergence_threshold, stop.patience),
        decide.Budget(settings.max_iterations),
    )


def decide_on(settings: Settings, rounds: Sequence[Round], gaps: Sequence[Gap]) -> Decision | None:
    """Stop or go on, once the gaps of the next round are known."""
    if not gaps:
        return decide.NO_GAPS
    return decide.decide([entry.facts for entry in rounds], stop_rules(settings)) if rounds else None


def say_round(run: Run, done: Round) -> None:
    """The seed's last line of an iteration, and the drift alarm."""
    gain = done.facts.improvement
    if gain is not None:
        threshold = run.settings.convergence_threshold
        against = f"below {threshold:.0%} threshold" if gain.value < threshold else f"threshold {threshold:.0%}"
        run.say(f"  ✓ Improvement: {gain.value:.1%} ({against}; 95% interval {gain.low:.1%} to {gain.high:.1%})")
    if done.rolled_back:
        run.toolbox.reporter.warn(
            f"Drift: {', '.join(done.facts.drifted)} got worse beyond the interval; round {done.facts.iteration} is rolled back, v{done.started_from} goes on"
        )


def record(run: Run, outcome: Outcome) -> None:
    """iteration_history.json, after every round."""
    write_json(run.workspace.history, history_json(outcome, run.settings.person_name, run.toolbox.base_model))


def finish(run: Run, outcome: Outcome, decision: Decision) -> None:
    """The final LoRA (a copy of the best version), report.html, and the reason why the loop ends here."""
    chosen = picked(run.workspace)
    version = outcome.best if chosen is None else int(chosen["version"])
    best, final = run.workspace.lora(version), run.workspace.final_lora
    copy_whole(best, final)
    if kohya_path(best).exists():
        copy_whole(kohya_path(best), kohya_path(final))
    write_report(run.workspace)
    run.say("\n✓ Convergence Achieved!" if decision.converged else "\nStopped.")
    run.say(f"  Reason: {decision.reason}")
    run.say(f"  Gaps left: {outcome.gaps_left}")
    if chosen is None:
        run.say(f"  Best LoRA: v{version} -> {run.workspace.show(final)}")
    else:
        run.say(f"  Best LoRA: v{outcome.best}; picked by you: v{version} -> {run.workspace.show(final)}")
