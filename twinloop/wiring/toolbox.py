"""Settings -> everything a run needs."""

from __future__ import annotations

import functools

from twinloop.config import Settings
from twinloop.errors import MissingModel, NotFetched
from twinloop.ports import Reporter
from twinloop.stages.toolbox import Makers, Toolbox
from twinloop.store.clock import SystemClock
from twinloop.wiring.machine import tell_device
from twinloop.wiring.makers import build_makers, obstacles
from twinloop.wiring.measuring import observer_of


def build_toolbox(settings: Settings, reporter: Reporter, planning: bool = False) -> Toolbox:
    """Everything a run needs.

    Args:
        planning: only gaps and prompts are asked for, which need no base model: one that is not here is told, and
            neither refused nor fetched.

    Raises:
        TwinLoopError: the first thing that cannot work, with the next step.
    """
    makers = build_makers(settings, reporter.warn)
    if makers.notice:
        reporter.warn(makers.notice)
    if planning:
        _say_missing_base(settings, reporter)
    else:
        for obstacle in obstacles(settings, makers):
            raise obstacle
    return Toolbox(
        makers=makers,
        tell_device=functools.partial(_tell_device, makers, settings.device, reporter),
        observer=observer_of(settings),
        clock=SystemClock(),
        reporter=reporter,
    )


def _tell_device(makers: Makers, device: str, reporter: Reporter) -> None:
    """The fakes compute nothing."""
    if makers.family is not None:
        tell_device(device, reporter)


def _say_missing_base(settings: Settings, reporter: Reporter) -> None:
    """Raises the first obstacle that is not a base model which is not here; nothing is downloaded."""
    here = settings.model_copy(update={"allow_download": False})
    told: set[str] = set()
    makers = build_makers(here)
    for obstacle in obstacles(here, makers):
        if not isinstance(obstacle, MissingModel):
            raise obstacle
        if settings.allow_download and isinstance(obstacle, NotFetched):
            text = (
                f"base_model: {settings.base_model} is not here yet; the run fetches it when it begins"
                ' ("allow_download": true).'
            )
        else:
            text = f"Without --dry-run this is refused: {obstacle}"
        if text not in told:
            told.add(text)
            reporter.warn(
                f"{text}\nGaps and prompts need no base model; the prompts are those for {_preset(settings, makers)}."
            )


def _preset(settings: Settings, makers: Makers) -> str:
    """The preset in force, and whether it is a guess."""
    return f"the preset '{makers.training(1).preset}'" + (
        "" if settings.training.preset else ", which is a guess from the model's name"
    )
