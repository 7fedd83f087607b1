"""The entries of the menu, in order; the first is the one that turns photos into a LoRA."""

from __future__ import annotations

from twinloop.menu.workflow import Workflow
from twinloop.menu.workflows import export, loop, models, pipeline, simple, steps

WORKFLOWS: tuple[Workflow, ...] = (
    pipeline.WORKFLOW,
    loop.WORKFLOW,
    steps.GAPS,
    steps.GENERATE,
    steps.VALIDATE,
    simple.PAGE,
    export.WORKFLOW,
    models.WORKFLOW,
    simple.DEMO,
    simple.DOCTOR,
)
