"""What the optimizers of a training take beside the learning rate: names, kinds and bounds, in the order in which they
are written down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Value = bool | int | float | tuple[float, ...]
"""Of one argument."""
Arguments = tuple[tuple[str, Value], ...]
"""Names with values, in the order of `TAKEN`."""


@dataclass(frozen=True)
class Kind:
    """What one argument may be.

    ``text``: in words, after "must be". ``read``: the value as the optimizer takes it; None = it may not be that.
    """

    text: str
    read: Callable[[object], Value | None]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and type(value) is not bool and math.isfinite(value) else None


def _numbers(text: str, count: int, fits: Callable[[float], bool]) -> Kind:
    def read(value: object) -> Value | None:
        if not isinstance(value, list | tuple) or len(value) != count:
            return None
        found = [number for part in value if (number := _number(part)) is not None and fits(number)]
        return tuple(found) if len(found) == count else None

    return Kind(text, read)


def _one(text: str, fits: Callable[[float], bool]) -> Kind:
    def read(value: object) -> Value | None:
        number = _number(value)
        return number if number is not None and fits(number) else None

    return Kind(text, read)


TRUTH = Kind("true or false", lambda value: value if isinstance(value, bool) else None)
COUNT = Kind("a whole number from 1", lambda value: value if type(value) is int and value >= 1 else None)
SHARE = _one("a number from 0 to less than 1", lambda number: 0 <= number < 1)
ABOVE = _one("a number above 0", lambda number: number > 0)
BELOW = _one("a number below 0", lambda number: number < 0)
GROWTH = _one("a number from 1", lambda number: number >= 1)
POWER = _one("a number from 0", lambda number: number >= 0)
DECAY = _one("a number from 0 to 1", lambda number: 0 <= number <= 1)
BETAS = _numbers("a list of two numbers from 0 to less than 1", 2, lambda number: 0 <= number < 1)
BETAS_ABOVE = _numbers("a list of two numbers above 0 and less than 1", 2, lambda number: 0 < number < 1)
THREE_BETAS = _numbers("a list of three numbers above 0 and less than 1", 3, lambda number: 0 < number < 1)
TWO = _numbers("a list of two numbers above 0", 2, lambda number: number > 0)

_ADAM: Mapping[str, Kind] = {"weight_decay": DECAY, "betas": BETAS, "eps": ABOVE}
TAKEN: Mapping[str, Mapping[str, Kind]] = {
    "adamw": _ADAM,
    "adamw8bit": _ADAM,
    "prodigy": {
        **_ADAM,
        "beta3": SHARE,
        "decouple": TRUTH,
        "use_bias_correction": TRUTH,
        "safeguard_warmup": TRUTH,
        "d0": ABOVE,
        "d_coef": ABOVE,
        "growth_rate": GROWTH,
        "slice_p": COUNT,
    },
    "adafactor": {
        "weight_decay": DECAY,
        "eps": TWO,
        "clip_threshold": ABOVE,
        "decay_rate": BELOW,
        "beta1": SHARE,
        "scale_parameter": TRUTH,
    },
    "lion": {"weight_decay": DECAY, "betas": BETAS},
    "came": {"weight_decay": DECAY, "betas": THREE_BETAS, "clip_threshold": ABOVE, "eps1": ABOVE, "eps2": ABOVE},
    "adamw_schedulefree": {
        "weight_decay": DECAY,
        "betas": BETAS_ABOVE,
        "eps": ABOVE,
        "r": POWER,
        "weight_lr_power": POWER,
    },
}
"""Optimizer -> its arguments, under the names that its library has for them."""
_ELSEWHERE = {
    "lr": "the rate is training.learning_rate",
    "relative_step": "adafactor runs at training.learning_rate",
    "warmup_init": "adafactor is warmed up by training.warmup_steps",
    "warmup_steps": "its warm-up is training.warmup_steps",
}
"""Arguments that a field of the training stands for."""


def mistakes(optimizer: str, given: Mapping[str, object]) -> list[str]:
    """What is wrong with the arguments of a known optimizer, one text each; empty when nothing is."""
    taken = TAKEN[optimizer]
    found = [
        f"{name} must be {taken[name].text}, not {_shown(value)}"
        for name, value in given.items()
        if name in taken and taken[name].read(value) is None
    ]
    for name in given:
        if name not in taken:
            instead = _ELSEWHERE.get(name, "")
            found.append(f"{optimizer} takes no '{name}' here{f': {instead}' if instead else ''}")
    if any(name not in taken for name in given):
        found[-1] += f"; it takes {', '.join(taken)}"
    return found


def ordered(optimizer: str, given: Mapping[str, object]) -> Arguments:
    """The arguments in the optimizer's own order and kinds, so that two ways of writing the same are the same.

    Raises:
        ValueError: any is wrong; says what.
    """
    if wrong := mistakes(optimizer, given):
        raise ValueError("; ".join(wrong))
    read = ((name, kind.read(given[name])) for name, kind in TAKEN[optimizer].items() if name in given)
    return tuple((name, value) for name, value in read if value is not None)


def in_python(arguments: Sequence[tuple[str, Value]]) -> list[str]:
    """As Python and sd-scripts write them: ``betas=(0.9, 0.99)``."""
    return [f"{name}={value}" for name, value in arguments]


def _shown(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
