"""How many steps a sampler can take: some have no more times than the model was trained on, and divide by the distance
of two times, which is zero where a time comes twice.
"""

from __future__ import annotations

from typing import Any

import torch

from twinloop.errors import InputError
from twinloop.families.base import DISTILLED_SCHEDULERS, Family
from twinloop.ports import GenerationSettings

_USUAL_TIMES = 1000
"""Of the noise that models are trained on."""


def check_steps(settings: GenerationSettings, scheduler: Any, family: Family) -> None:
    """Whether a diffusers scheduler, configured for the base model, can take so few or so many steps.

    Raises:
        InputError: it cannot; says how many it can.
    """
    # the times are stretched to end at a given one, which divides by zero where the first is the last
    if settings.steps == 1 and scheduler.config.get("shift_terminal"):
        raise InputError(
            "generation.num_inference_steps: 1, but this base model's scheduler needs two steps at least: with one its"
            " values are no numbers."
        )
    if family.flow:  # their times lie as close as one likes
        return
    times = scheduler.config.get("num_train_timesteps", _USUAL_TIMES)
    held = min(DISTILLED_SCHEDULERS.get(type(scheduler).__name__, times // 2), times // 2)
    if settings.steps <= held or _goes_through(scheduler, settings.steps):
        return
    too_many = settings.steps
    while too_many - held > 1:
        middle = (held + too_many) // 2
        held, too_many = (middle, too_many) if _goes_through(scheduler, middle) else (held, middle)
    sampler = f"'{settings.scheduler}'" if settings.scheduler else "this base model's own sampler"
    raise InputError(
        f"generation.num_inference_steps: {settings.steps}, but {sampler} takes {held} steps at most with this base"
        f" model, which was trained on {times} times."
    )


def _goes_through(scheduler: Any, steps: int) -> bool:
    """Whether one number is brought to an end in so many steps, and is a number then."""
    tried = type(scheduler).from_config(scheduler.config)
    with torch.random.fork_rng(devices=[]):  # samplers that add noise draw it
        try:
            tried.set_timesteps(steps)
            if len(set(tried.timesteps.tolist())) < steps // 2:  # one time over and over: nothing is brought to an end
                return False
            latents = torch.ones(1, 1, 1, 1) * tried.init_noise_sigma
            for time in tried.timesteps:
                predicted = torch.full_like(tried.scale_model_input(latents, time), 0.1)
                latents = tried.step(predicted, time, latents).prev_sample
        except (ValueError, IndexError, AssertionError, ZeroDivisionError, RuntimeError):
            return False
    return bool(torch.isfinite(latents).all())
