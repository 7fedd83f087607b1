"""How many steps a sampler can take: some have no more times than the model was trained on, and divide by the distance
of two times, which is zero where a time comes twice.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import diffusers
import torch

from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.base_files import find_base
from twinloop.errors import InputError, TwinLoopError
from twinloop.families.base import DISTILLED_SCHEDULERS, Family
from twinloop.families.predictions import NOT_ASKED
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


def check_steps_early(settings: GenerationSettings, choice: BaseChoice, family: Family) -> None:
    """As `check_steps`, before the base model is loaded, where its scheduler's configuration is here.

    Raises:
        InputError: as `check_steps`.
    """
    if choice.prediction != NOT_ASKED:  # the loaded model's scheduler is told of it
        return
    try:
        kind, changes = family.scheduler(settings.scheduler, settings.timestep_spacing)
        home = find_base(replace(choice, allow_download=False), family).home
        config: dict[str, Any] = json.loads((home / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
        scheduler = getattr(diffusers, kind or config["_class_name"]).from_config(config, **changes)
    except (TwinLoopError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # told where the base is looked for, or loaded
    check_steps(settings, scheduler, family)


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
