"""What a training runs on: so many threads, sums in a fixed order, a plan that fits into memory, blocks that wait
elsewhere; and its data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from twinloop.adapters.diffusion.block_swap import swappable
from twinloop.adapters.diffusion.compute import is_small
from twinloop.adapters.diffusion.memory import memory_errors
from twinloop.adapters.diffusion.repeatability import repeatable, threads
from twinloop.adapters.trainers.data.prepare import TrainingData, prepare_data, prepare_validation
from twinloop.adapters.trainers.execution.process_group import Workers
from twinloop.adapters.trainers.memory.planning import can_swap, memory_plan
from twinloop.adapters.trainers.records.training_record import TrainingRecord
from twinloop.adapters.trainers.training_job import TrainingJob
from twinloop.domain.forecast import MemoryPlan
from twinloop.ports import TrainingSettings


@dataclass(frozen=True, eq=False)
class TrainingSetup:
    """How the steps of a training are to be taken, and what they draw from."""

    plan: MemoryPlan
    data: TrainingData


@contextmanager
def set_up(
    job: TrainingJob, record: TrainingRecord, workers: Workers, notice: Callable[[str], None]
) -> Iterator[TrainingSetup]:
    """This process and the base, ready for the steps of a training; afterwards both are as they were.

    Args:
        record: of the start; plan and cache lie in its folder. notice: called with what the user should know.

    Raises:
        OutOfMemory: here, or inside where a single picture does not fit; says what to do.
        UnreadableImage, StateError: a photo is damaged, gone or changed; a file of the work folder is damaged.
    """
    with threads(record.threads), repeatable(job.base.compute):
        with workers.main_first(), _memory_errors(job, job.settings.blocks_to_swap or 0):
            plan = memory_plan(
                job.base, job.settings, record.work, notice, chunks=math.lcm(*job.chunks), prior=job.has_prior
            )
        with _memory_errors(job, plan.blocks_to_swap), job.base.swapping(plan.blocks_to_swap):
            with workers.main_first():
                data = _data(job, record.work, workers, notice)
            yield TrainingSetup(plan, data)


def _data(job: TrainingJob, work: Path, workers: Workers, notice: Callable[[str], None]) -> TrainingData:
    """Of the samples that are learned, and of those that the validation loss is measured on where it is."""
    # several processes would each encode all; beside a training the encoding needs memory that a small GPU does not
    # have
    lazily = workers.world_size == 1 and not is_small(job.base.compute)
    data = prepare_data(job.base, job.learned, job.settings, work, notice, lazily=lazily)
    if not job.settings.validate_every:
        return data
    return replace(data, validation=prepare_validation(job.base, job.measured, job.settings, work))


def _memory_errors(job: TrainingJob, swapped: int) -> AbstractContextManager[None]:
    """What to do is said where a single picture does not fit while so many blocks are swapped."""
    swaps = can_swap(job.base) and swapped < len(swappable(job.base.denoiser))
    return memory_errors("Training", memory_advice(job.settings, swaps=swaps))


def memory_advice(settings: TrainingSettings, *, swaps: bool) -> str:
    """What to do where a single picture does not fit; ``swaps``: more blocks can be swapped here."""
    lower = (
        "lower training.resolution or training.rank, or use training.optimizer adafactor; the training then begins"
        " anew."
    )
    if settings.gradient_checkpointing is False:
        return (
            "Set training.gradient_checkpointing to null or true: the training goes on from its last checkpoint. If"
            f" that is too little, {lower}"
        )
    if swaps:
        return (
            "Set training.blocks_to_swap, or set it higher: the training goes on from its last checkpoint, with slower"
            f" steps. If that is too little, {lower}"
        )
    return lower[0].upper() + lower[1:]
