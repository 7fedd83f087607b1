"""What a training needs: without prior images, and with captions of one chunk, unless a test says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twinloop.adapters.diffusion.base_model import BaseModel
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan
from twinloop.adapters.trainers.memory import dry_run, planning
from twinloop.adapters.trainers.memory.demand import Demand
from twinloop.adapters.trainers.memory.dry_run import Footprint
from twinloop.domain.forecast import Forecast, MemoryPlan
from twinloop.ports import TrainingSettings, TrainingSize


def demand_of(base: BaseModel, settings: TrainingSettings, chunks: int = 1) -> tuple[Demand, int]:
    return planning.demand_of(base, settings, chunks=chunks, prior=False)


def memory_plan(base: BaseModel, settings: TrainingSettings, work: Path, notice: Callable[[str], None]) -> MemoryPlan:
    return planning.memory_plan(base, settings, work, notice, chunks=1, prior=False)


def forecast(
    base: BaseModel, settings: TrainingSettings, images: int, prior_images: int = 0, chunks: int = 1
) -> Forecast:
    return planning.forecast(base, settings, TrainingSize(images, prior_images), chunks=chunks)


def encoders_footprint(base: BaseModel, plan: AdapterPlan) -> Footprint:
    return dry_run.encoders_footprint(base, plan, chunks=1)
