"""What the built-in training fixes when it first starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from twinloop.adapters.diffusion.repeatability import thread_count
from twinloop.adapters.trainers.records.begun import begun
from twinloop.adapters.trainers.records.checkpoints import Checkpoints

_FILE = "training.json"


@dataclass(frozen=True)
class TrainingRecord:
    """Decided once, so that a resumed training ends in the same bytes.

    Attributes:
        work: the folder that it is kept in, with all else of the training.
        inputs: hash of samples, settings, base model and texts. date: ISO 8601, UTC. threads: sums depend on their
            number.
    """

    work: Path
    inputs: str
    date: str
    threads: int


def open_record(
    work: Path, inputs: str, notice: Callable[[str], None], check: Callable[[], None] = lambda: None
) -> TrainingRecord:
    """The record of the training in ``work``, as `begun` has it.

    Args:
        notice: told when trained steps are lost. check: called before a training begins that the folder is not of.
    """
    kept = begun(work / _FILE, inputs, lambda: Checkpoints(work).are_there, notice, check, threads=thread_count())
    return TrainingRecord(work, **kept)
