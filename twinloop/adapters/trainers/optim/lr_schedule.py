"""The learning rate of each step."""

from __future__ import annotations

import math


def learning_rate(step: int, steps: int, peak: float, warmup: int, schedule: str, restarts: int = 1) -> float:
    """The rate of a step (1..steps): linear warm-up, then one of `domain.choices.SCHEDULES`.

    ``constant`` stays; ``cosine`` and ``linear`` fall to zero just after the last step; ``cosine_restarts`` falls so
    ``restarts`` times, each time from the peak (arXiv 1608.03983).
    """
    warmup = min(warmup, steps)
    if step <= warmup:
        return peak * step / warmup
    place = (step - warmup) / (steps - warmup + 1)
    if schedule == "constant":
        return peak
    if schedule == "linear":
        return peak * (1 - place)
    if schedule == "cosine_restarts":
        place = place * restarts % 1.0
    return peak * 0.5 * (1 + math.cos(math.pi * place))
