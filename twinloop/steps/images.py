"""Gaps and LoRA -> synthetic_iterN/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twinloop.config import Settings
from twinloop.domain.records import Dataset, LoRA
from twinloop.domain.shots import Gap, Shot
from twinloop.errors import StateError
from twinloop.stages import generate as generating
from twinloop.stages import plan
from twinloop.steps.run import Run
from twinloop.store.atomic import read_json
from twinloop.store.workspace import shown_path


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
