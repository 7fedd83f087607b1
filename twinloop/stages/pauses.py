"""Where a training pauses, and what happens there: images are drawn for people to look at, and checkpoints are
measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from twinloop.stages.trial import Trial

Draw = Callable[[Path, int], None]
"""Draws the samples of a LoRA file, as it is after a step."""


def sample_steps(steps: int, every: int) -> tuple[int, ...]:
    """Each ``every``-th step of a training, and its last; () where ``every`` is 0."""
    return (*range(every, steps, every), steps) if every else ()


@dataclass(frozen=True)
class Samples:
    """Images of the same prompts and seeds again and again while a LoRA learns. They decide nothing.

    Attributes:
        steps: ascending, the last of the training among them.
    """

    steps: tuple[int, ...]
    draw: Draw


@dataclass(frozen=True)
class Pauses:
    """All pauses of one training."""

    trial: Trial | None = None
    samples: Samples | None = None

    @property
    def steps(self) -> tuple[int, ...]:
        """Ascending; () = the training runs through. The last of them is the last that may be trained."""
        sampled = self.samples.steps if self.samples is not None else ()
        return tuple(sorted({*sampled, *(self.trial.steps if self.trial is not None else ())}))

    def enough(self, step: int, lora: Path) -> bool:
        """Do what is to be done after ``step`` with the LoRA as it is there; whether the training may stop with it."""
        if self.samples is not None and step in self.samples.steps:
            self.samples.draw(lora, step)
        return self.trial is not None and step in self.trial.steps and self.trial.enough(step, lora)

    def decides(self, step: int) -> bool:
        """Whether the choice of the LoRA hangs on this pause."""
        return step == self.steps[-1] or (self.trial is not None and step in self.trial.steps)

    def settle(self) -> int:
        """The step whose LoRA is taken: the best that was measured, else the last."""
        return self.trial.settle() if self.trial is not None else self.steps[-1]


NO_PAUSES = Pauses()
