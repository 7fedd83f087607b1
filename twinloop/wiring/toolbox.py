"""Settings -> everything a run needs."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from twinloop.config import Settings
from twinloop.errors import ConfigError, MissingModel, NotFetched, TwinLoopError
from twinloop.ports import Reporter
from twinloop.stages.toolbox import Makers, Toolbox
from twinloop.store.clock import SystemClock
from twinloop.wiring.checking import absent_files, with_files_that_are_here
from twinloop.wiring.machine import tell_device
from twinloop.wiring.makers import build_makers
from twinloop.wiring.measuring import observer_of
from twinloop.wiring.obstacles import NOT_HERE, obstacles, without_downloads


def build_toolbox(
    settings: Settings,
    reporter: Reporter,
    planning: bool = False,
    checked: bool = False,
    beside: Path = Path(),
) -> Toolbox:
    """Everything a run needs.

    Args:
        planning: only gaps and prompts are asked for, which need no base model, no library of an extra, no GPU and
            none of `absent_files`: what of them is not here is told, and neither refused nor fetched.
        checked: `check_config` looked for all that cannot work (``wholly``).
        beside: the folder of the configuration.

    Raises:
        TwinLoopError: all that cannot work, each with its next step.
    """
    makers = build_makers(settings, reporter.warn)
    if makers.notice:
        reporter.warn(makers.notice)
    if planning:
        _say_missing(settings, reporter, beside)
    elif not checked:
        _refuse(list(obstacles(settings, makers)))
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


def _refuse(found: Sequence[TwinLoopError]) -> None:
    """Raises what is one error; several become one that lists them."""
    if found[1:]:
        raise ConfigError("this cannot run here", [str(error) for error in found], noun="problem")
    for error in found:
        raise error


def _say_missing(settings: Settings, reporter: Reporter, beside: Path) -> None:
    """Raises all obstacles but what is only not here, which is told; nothing is downloaded."""
    for field, problem in absent_files(settings, beside):
        reporter.warn(f"Without --dry-run this is refused: {field}: {problem}")
    here = with_files_that_are_here(without_downloads(settings))
    makers = build_makers(here)
    found = list(obstacles(here, makers))
    _refuse([error for error in found if not isinstance(error, NOT_HERE)])
    for obstacle in found:
        if settings.allow_download and isinstance(obstacle, NotFetched):
            text = (
                f"base_model: {settings.base_model} is not here yet; the run fetches it when it begins"
                ' ("allow_download": true).'
            )
        else:
            text = f"Without --dry-run this is refused: {obstacle}"
        if isinstance(obstacle, MissingModel):
            text += f"\nGaps and prompts need no base model; the prompts are those for {_preset(settings, makers)}."
        reporter.warn(text)


def _preset(settings: Settings, makers: Makers) -> str:
    """The preset in force, and whether it is a guess."""
    return f"the preset '{makers.training(1).preset}'" + (
        "" if settings.training.preset else ", which is a guess from the model's name"
    )
