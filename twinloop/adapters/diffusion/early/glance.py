"""Ends single pictures of a batch part of the way: a look at what they will come to, and no more work for those that
fail it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from twinloop.adapters.diffusion.early.clean_latents import clean_latents
from twinloop.adapters.diffusion.early.denoiser_rows import DenoiserRows


@dataclass
class Survivors:
    """Which pictures of a batch are still being made."""

    rows: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Glance:
    """When to look, and what for.

    Attributes:
        after: number of steps -> the step after which to look; the last one means: not at all.
        choose: clean latents of the whole batch, as the pipeline has them -> the rows that are worth finishing.
    """

    after: Callable[[int], int]
    choose: Callable[[Tensor], Sequence[int]]


@contextmanager
def glancing(pipeline: Any, denoiser: Any, pictures: int, glance: Glance | None) -> Iterator[Survivors]:
    """While entered, one call of ``pipeline`` shows its batch to ``glance`` once and works on for those that it chose.

    None = nobody looks.
    """
    left = Survivors(list(range(pictures)))
    if glance is None:
        yield left
        return
    scheduler = pipeline.scheduler
    step, taken = scheduler.step, 0
    with DenoiserRows(denoiser, pictures) as rows:

        @functools.wraps(step)  # pipelines ask for its parameters
        def watched(answer: Tensor, time: Any, noisy: Tensor, *args: Any, **named: Any) -> Any:
            nonlocal taken
            taken += 1
            if taken == glance.after(pipeline.num_timesteps) < pipeline.num_timesteps:
                left.rows = list(glance.choose(clean_latents(scheduler, answer, time, noisy)))
                if left.rows:
                    rows.keep(left.rows)
                else:
                    pipeline._interrupt = True  # the pipelines' own way to end early
            return step(answer, time, noisy, *args, **named)

        scheduler.step = watched
        try:
            yield left
        finally:
            del scheduler.step
