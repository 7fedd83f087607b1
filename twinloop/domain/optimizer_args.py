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


def _prodigy_betas(value: object) -> Value | None:
    betas = BETAS.read(value)
    return betas if isinstance(betas, tuple) and betas[0] <= 0.999 else None


SMALLEST = 1e-30
"""Of what keeps a division from one by zero: the weights and moments of an adapter are float32, in which numbers below
1e-38 lose their digits or are zero, and so are products of this one with others of the formula."""
LONGEST = 0.999999
"""Of a decay: nearer to 1, float32 holds too little of the rest to 1, which is what is learned."""


def _between(low: float, high: float) -> Kind:
    return _one(f"a number from {low:g} to {high:g}", lambda number: low <= number <= high)


COUNT = Kind(
    "a whole number from 1 to 1000", lambda value: value if type(value) is int and 1 <= value <= 1000 else None
)
SHARE = _one(f"a number from 0 to {LONGEST}", lambda number: 0 <= number <= LONGEST)
BELOW = _one("a number from -1 to less than 0", lambda number: -1 <= number < 0)
GROWTH = _one("a number above 1", lambda number: number > 1)
CLIP = _one("a number from 0.001", lambda number: number >= 1e-3)
DECAY = _between(0, 1)
POWER = _between(0, 10)
EPS = _between(SMALLEST, 1)
PRODIGY_EPS = _between(1e-20, 1)
"""Prodigy multiplies it by its estimate of the rate, which starts at ``d0``."""
FIRST_RATE = _between(1e-12, 1)
COEFFICIENT = _between(1e-3, 1e3)
BETAS = _numbers(f"a list of two numbers from 0 to {LONGEST}", 2, lambda number: 0 <= number <= LONGEST)
PRODIGY_BETAS = Kind(f"a list of two numbers, from 0 to 0.999 and from 0 to {LONGEST}", _prodigy_betas)
"""Its correction for the first steps divides by the rest of the first one to 1, and so does its estimate of the rate,
which never falls again."""
BETAS_ABOVE = _numbers(f"a list of two numbers from 0.01 to {LONGEST}", 2, lambda number: 0.01 <= number <= LONGEST)
THREE_BETAS = _numbers(f"a list of three numbers from 0.01 to {LONGEST}", 3, lambda number: 0.01 <= number <= LONGEST)
TWO_EPS = _numbers(f"a list of two numbers from {SMALLEST:g} to 1", 2, lambda number: SMALLEST <= number <= 1)

_ADAM: Mapping[str, Kind] = {"weight_decay": DECAY, "betas": BETAS, "eps": EPS}
TAKEN: Mapping[str, Mapping[str, Kind]] = {
    "adamw": _ADAM,
    "adamw8bit": _ADAM,
    "prodigy": {
        **_ADAM,
        "betas": PRODIGY_BETAS,
        "eps": PRODIGY_EPS,
        "beta3": SHARE,
        "decouple": TRUTH,
        "use_bias_correction": TRUTH,
        "safeguard_warmup": TRUTH,
        "d0": FIRST_RATE,
        "d_coef": COEFFICIENT,
        "growth_rate": GROWTH,
        "slice_p": COUNT,
    },
    "adafactor": {
        "weight_decay": DECAY,
        "eps": TWO_EPS,
        "clip_threshold": CLIP,
        "decay_rate": BELOW,
        "beta1": SHARE,
        "scale_parameter": TRUTH,
    },
    "lion": {"weight_decay": DECAY, "betas": BETAS},
    "came": {"weight_decay": DECAY, "betas": THREE_BETAS, "clip_threshold": CLIP, "eps1": EPS, "eps2": EPS},
    "adamw_schedulefree": {
        "weight_decay": DECAY,
        "betas": BETAS_ABOVE,
        "eps": EPS,
        "r": POWER,
        "weight_lr_power": POWER,
    },
}
"""Optimizer -> its arguments, under the names that its library has for them."""
USUAL_SECOND_EPS = 1e-3
"""Of Adafactor: what its library has, and what people write beside the first one."""
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
    return found if found else _in_vain(optimizer, given)


def _in_vain(optimizer: str, given: Mapping[str, object]) -> list[str]:
    """Right values that another one leaves without a meaning."""
    eps = given.get("eps")
    if optimizer != "adafactor" or given.get("scale_parameter") is True or not isinstance(eps, list | tuple):
        return []
    if eps[1] == USUAL_SECOND_EPS:
        return []
    return [f"the second number of eps is for scale_parameter: true; set it, or leave that at {USUAL_SECOND_EPS}"]


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
