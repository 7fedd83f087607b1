"""Who follows images on their way: a look that may end them, and how far they are."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from twinloop.ports import Denoising, EarlyLook


@dataclass(frozen=True)
class Watch:
    """As `Generator.generate` was asked. ``before``: of the images asked for, those that were denoised already."""

    look: EarlyLook | None = None
    told: Denoising | None = None
    before: int = 0

    def after(self, images: int) -> Watch:
        """The same when so many more are denoised."""
        return replace(self, before=self.before + images)

    @contextmanager
    def following(self, pipeline: Any, images: int, steps: int) -> Iterator[None]:
        """While entered, one call of ``pipeline``, of so many images, tells its steps.

        The sampler is where every pipeline comes past; nothing waits for the GPU there.
        """
        if self.told is None:
            yield
            return
        told, scheduler = self.told, pipeline.scheduler
        before = vars(scheduler).get("step")  # an early look is there, too
        step, taken = scheduler.step, 0

        @functools.wraps(step)  # pipelines ask for its parameters
        def counted(*args: Any, **named: Any) -> Any:
            nonlocal taken
            made = step(*args, **named)
            whole = getattr(pipeline, "num_timesteps", None) or steps
            taken = min(taken + 1, whole)
            # what is left after the last step is to decode them
            told(self.before + images * taken / (whole + 1), taken, whole)
            return made

        scheduler.step = counted
        try:
            yield
        finally:
            if before is None:
                del scheduler.step
            else:
                scheduler.step = before
