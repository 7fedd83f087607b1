"""Gaps and LoRA -> synthetic_iterN/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twinloop.domain.records import Dataset, LoRA
from twinloop.domain.shots import Gap
from twinloop.domain.wording import plural
from twinloop.errors import StateError
from twinloop.stages import generate as generating
from twinloop.stages import plan
from twinloop.stages.face_detail import FaceDetail
from twinloop.stages.generation_record import GenerationContext, shots_from_json, shots_json
from twinloop.stages.identity import reference_from_json
from twinloop.stages.sources import Source, source_of, sources_from_json, sources_json
from twinloop.steps.photos import observations
from twinloop.steps.run import Run, sign
from twinloop.steps.stage_options import early_judge, face_detail, plan_settings
from twinloop.steps.verdicts import is_judged
from twinloop.store.atomic import read_as, read_object, write_json
from twinloop.store.run.workspace import GENERATION_METADATA, shown_path


def generate(run: Run, gaps: Sequence[Gap], lora: LoRA, iteration: int) -> None:
    """shots_iterN.json and synthetic_iterN/; of a round that was judged nothing is made again."""
    toolbox, path = run.toolbox, run.workspace.shots(iteration)
    run.artefact(f"iter{iteration}.shots", path, lambda: _shots(run, gaps, iteration), editable=True)
    if is_judged(run, iteration):
        record = read_object(run.workspace.synthetic(iteration) / GENERATION_METADATA)
        images, early = _entries(record, "images"), _entries(record, "rejected_early")
        _say_made(run, len(images), sum("face_detail" in image for image in images), len(early))
        return
    shots = read_as(path, shots_from_json)
    context = GenerationContext(
        prefix=f"iter{iteration}",
        folder=run.workspace.synthetic(iteration),
        base_model=toolbox.makers.base_model,
        lora=run.workspace.lora(lora.version),
        settings=toolbox.makers.generation,
        dataset=shown_path(Path(run.settings.dataset_dir)),
        early=early_judge(run.settings, run.toolbox.observer),
        detail=_face_detail(run),
    )
    made = generating.generate(shots, context, toolbox.makers.generator, run.journal, toolbox.clock, toolbox.reporter)
    _say_made(run, len(made), sum(one.face_detail is not None for one in made), len(shots) - len(made))


def _entries(record: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """What a record lists; none where it is not what this program writes there."""
    found = record.get(name)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _say_made(run: Run, images: int, redrawn: int, early: int) -> None:
    faces = f", {plural(redrawn, 'face')} redrawn" if redrawn else ""
    given_up = f", {early} more given up early" if early else ""
    run.say(f"  {sign(images)} Generated: {plural(images, 'image')}{faces}{given_up}")


def _face_detail(run: Run) -> FaceDetail | None:
    if not run.settings.generation.face_detail:
        return None
    path = run.workspace.identity
    reference = read_as(path, reference_from_json) if path.exists() else None
    return face_detail(run.settings, run.toolbox.observer, run.toolbox.makers.small_face, reference)


def _shots(run: Run, gaps: Sequence[Gap], iteration: int) -> Any:
    """shots_iterN.json; gaps that nobody knows here are named and left out.

    Raises:
        StateError: nobody knows any of them.
    """
    settings, facets = run.settings, run.toolbox.observer.facets
    unknown = [f"{gap.facet}/{gap.value}" for gap in plan.unplannable(gaps, facets)]
    if len(unknown) == len(gaps):
        raise StateError(
            f"No shot can be planned for these gaps: {', '.join(unknown)}. Correct {run.workspace.gaps(iteration)} and"
            " start again. A facet of your own needs its file in analysis.plugins."
        )
    for name in unknown:
        run.toolbox.reporter.warn(
            f"{name} is no facet value known here: no images are made for it ({run.workspace.gaps(iteration)})"
        )
    photos = sources(run) if settings.generation.from_photos > 0 else ()
    toolbox = run.toolbox
    wanted = plan_settings(settings, toolbox.makers, iteration, photos)
    return shots_json(plan.plan(gaps, facets, wanted), iteration)


def sources(run: Run) -> tuple[Source, ...]:
    """sources.json: the real photos that images start from.

    Those that are held out to measure against are none of them.
    """
    path = run.workspace.sources
    if not path.exists():
        first = read_as(run.workspace.dataset(0), Dataset.from_json)
        shown = Dataset(tuple(member for member in first.real if member.weight > 0))
        seen = observations(run, shown)
        found = [source_of(member.path, one) for member, one in zip(shown.members, seen, strict=True)]
        write_json(path, sources_json(found))
    return read_as(path, sources_from_json)
