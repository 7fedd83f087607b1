"""A LoRA on fixed prompts and seeds -> its images and its score."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.records import LoRA, PanelScore
from twinloop.report import words
from twinloop.stages import assess, fixed_shots
from twinloop.stages import generate as generating
from twinloop.stages.generation_record import GenerationContext, shots_from_json, shots_json
from twinloop.stages.identity import IdentityReference
from twinloop.steps.run import Run
from twinloop.store.atomic import read_as

SAID = ("on_target", "identity", "overall")
"""Of the figures of a version, those that are said as soon as they are known."""
SCORE_AGAIN = "Delete it and run the same command again: the images are measured once more."


@dataclass(frozen=True)
class Panel:
    """Fixed prompts and seeds: the artefact they lie in, the seed they come from, and their number."""

    key: str
    path: Path
    seed: int
    images: int


@dataclass(frozen=True, kw_only=True)
class PanelRun:
    """One LoRA on a panel: journal key, number that its score carries, how people call it, file, and where images and
    score go.
    """

    key: str
    version: int
    called: str
    lora: Path
    images: Path
    score: Path

    @property
    def score_key(self) -> str:
        """Of the score, in the journal."""
        return score_key(self.key)


def score_key(key: str) -> str:
    """The journal key of the score of a LoRA on a panel. ``key``: as in `PanelRun`."""
    return f"{key}.score"


def measure(run: Run, reference: IdentityReference | None, lora: LoRA) -> PanelScore:
    """panel_vN/ and panel_vN.json: this LoRA on the fixed panel; says its figures."""
    space, version = run.workspace, lora.version
    panel = Panel("panel", space.panel, run.settings.seed, run.settings.panel.images)
    score = measured_on(
        run,
        reference,
        panel,
        PanelRun(
            key=f"panel_v{version}",
            version=version,
            called=f"LoRA v{version}",
            lora=space.lora(version),
            images=space.panel_images(version),
            score=space.panel_score(version),
        ),
    )
    run.say(f"{'  ' if version > 1 else ''}✓ Measured: LoRA v{version}, {', '.join(figures(score))}")
    return score


def figures(score: PanelScore) -> list[str]:
    """What is said of a LoRA on the panel: its main figures, and what was not measured."""
    said = [
        f"{metric.label.lower()} {words.percent(figure.value, 1) if metric.percent else words.number(figure.value, 3)}"
        for metric in words.METRICS
        if metric.name in SAID and (figure := score.measured(metric.name)) is not None
    ]
    said += ["identity not measured"] if score.measured("identity") is None else []
    return [*said, score.no_face_text] if score.no_face_text else said


def measured_on(run: Run, reference: IdentityReference | None, panel: Panel, panel_run: PanelRun) -> PanelScore:
    """Make the panel's images with a LoRA and measure them, as far as that is not done."""
    settings, toolbox = run.settings, run.toolbox
    facets = toolbox.observer.facets
    run.artefact(
        panel.key,
        panel.path,
        lambda: shots_json(
            fixed_shots.plan_panel(
                facets,
                toolbox.makers.voice,
                panel.seed,
                panel.images,
                settings.analysis.shares,
            ),
            0,
        ),
        fixed=True,
    )
    shots = read_as(panel.path, shots_from_json)
    context = GenerationContext(
        prefix=panel_run.key,
        folder=panel_run.images,
        base_model=toolbox.makers.base_model,
        lora=panel_run.lora,
        settings=toolbox.makers.generation,
        stamped=False,
        doing=f"Drawing the panel with {panel_run.called}",
    )
    made = generating.generate(shots, context, toolbox.makers.generator, run.journal, toolbox.clock, toolbox.reporter)
    run.artefact(
        panel_run.score_key,
        panel_run.score,
        lambda: assess.assess(
            made, panel_run.version, toolbox.observer, run.catalog, reference, toolbox.reporter
        ).to_json(),
    )
    return read_as(panel_run.score, lambda data: _score_of(len(shots), data), SCORE_AGAIN)


def _score_of(images: int, data: Any) -> PanelScore:
    score = PanelScore.from_json(data)
    for name, row in (("overall", score.samples.get("overall", [])), *score.samples.items()):
        if len(row) != images:
            raise ValueError(f'"samples": "{name}": {len(row)} images in the place of {images}')
    return score
