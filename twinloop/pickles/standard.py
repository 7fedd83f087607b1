"""What Python's own values and single objects are made from: each name with the arguments that
genuine files give it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from twinloop.pickles.budget import Budget
from twinloop.pickles.data import is_data, is_small
from twinloop.pickles.names import (
    DECIMAL,
    FRACTION,
    FUNCTIONS,
    GENERIC_ALIAS,
    GETITEM,
    LITERAL,
    LOGGER,
    MASKED_CONSTANT,
    MEMMAP,
    MODEL_PACKAGES,
    NUMBERS,
    NUMBERS_MAKER,
    PARTIAL,
    PATTERN,
    SINGLE_VALUES,
    TIME_PARTS,
    TORCH_VERSION,
    TYPE_FORMS,
    TYPE_OF,
    WRAPPED_TEXTS,
    ZONES,
    Pair,
)
from twinloop.pickles.values import Global, Inert

Args = tuple[Any, ...]
_LONGEST_PATTERN, _LONGEST_NAME = 2000, 200
_PATTERN_FLAGS = int(re.IGNORECASE | re.LOCALE | re.MULTILINE | re.DOTALL | re.UNICODE | re.VERBOSE | re.ASCII)
"""Those of the flags of a pattern that say how it matches; one more makes Python print it."""
_ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,30}(/[A-Za-z0-9_+-]{1,30}){0,2}")
"""A name of a time zone leads to a file of that name among Python's own: no way out of that folder."""
_NUMBER_CODES = frozenset("bBuhHiIlLqQfd")
_DECIMAL = re.compile(r"[+-]?(\d{1,4000}(\.\d{0,4000})?(E[+-]?\d{1,4})?|Infinity|s?NaN\d{0,20})", re.ASCII)
"""As both write themselves. With a large exponent a fraction, or the whole number of a decimal, takes hours and all
memory."""
_FRACTION = re.compile(r"-?\d{1,4000}(/\d{1,4000})?", re.ASCII)
_LONGEST_NUMBER = 14_000
"""Bits of a numerator or denominator."""


def _never(_: Args, __: Budget) -> bool:
    return False


def _nothing(args: Args, _: Budget) -> bool:
    return not args


def _texts(args: Args, _: Budget) -> bool:
    return all(type(text) is str for text in args)


def _type_of(args: Args, _: Budget) -> bool:
    """``type(None)``: of anything else it may be any class, and of three things it makes one."""
    match args:
        case (None,):
            return True
        case (Global() as single,):
            return single.pair in SINGLE_VALUES
    return False


def _pattern(args: Args, _: Budget) -> bool:
    match args:
        case (str() | bytes() as text, int() as flags):
            return len(text) <= _LONGEST_PATTERN and flags & ~_PATTERN_FLAGS == 0
    return False


def _decimal(args: Args, _: Budget) -> bool:
    match args:
        case (str() as text,):
            return _DECIMAL.fullmatch(text) is not None
    return False


def _fraction(args: Args, _: Budget) -> bool:
    """As text; from Python 3.12 on numerator and denominator."""
    match args:
        case (str() as text,):
            return _FRACTION.fullmatch(text) is not None
        case (int() as above, int() as below):
            return max(above.bit_length(), below.bit_length()) <= _LONGEST_NUMBER
    return False


def _time_parts(args: Args, _: Budget) -> bool:
    match args:
        case (tuple() as parts, dict() as more):
            return all(value is None or type(value) in (int, str) for value in (*parts, *more.values()))
    return False


def _zone(args: Args, _: Budget) -> bool:
    match args:
        case (str() as name, *cached) if all(type(flag) in (bool, int) for flag in cached) and len(cached) <= 1:
            return _ZONE_NAME.fullmatch(name) is not None
    return False


def _logger(args: Args, _: Budget) -> bool:
    match args:
        case () | (None,):
            return True
        case (str() as name,):
            return len(name) <= _LONGEST_NAME
    return False


def _numbers(args: Args, budget: Budget) -> bool:
    """An array of the standard library's: protocols 0 to 2 give its numbers, later ones its bytes."""
    match args:
        case (str() as code, list() as values):
            return code in _NUMBER_CODES and is_data(values, budget)
        case (str() as code, str()):
            return code == "u"
        case (str() as code,):
            return code in _NUMBER_CODES
    return False


def _numbers_of_bytes(args: Args, _: Budget) -> bool:
    match args:
        case (Global() as cls, str() as code, int(), bytes()):
            return cls.pair == NUMBERS and code in _NUMBER_CODES
    return False


def is_type(value: object) -> bool:
    """Whether it is a class, or a form of types made of classes; which is hashed and asked for nothing."""
    if isinstance(value, Global):
        return value.pair not in FUNCTIONS and value.module.split(".", 1)[0] not in MODEL_PACKAGES
    return value is None or (isinstance(value, Inert) and value.cls.pair in _MADE_TYPES)


_MADE_TYPES = frozenset({*GETITEM, *TYPE_OF, GENERIC_ALIAS})


def _form_of_types(args: Args, budget: Budget) -> bool:
    if not is_small(args):  # Python hashes them
        return False
    match args:
        case (Global() as form, inner) if form.pair == LITERAL:
            return is_data(inner, budget)
        case (Global() as form, tuple() as inner) if form.pair in TYPE_FORMS:
            return all(is_type(one) or (type(one) is list and all(map(is_type, one))) for one in inner)
        case (Global() as form, inner) if form.pair in TYPE_FORMS:
            return is_type(inner)
    return False


def _alias_of_type(args: Args, _: Budget) -> bool:
    match args:
        case (Global() as origin, tuple() as inner):
            return is_small(args) and is_type(origin) and all(map(is_type, inner))
    return False


def _partial(args: Args, _: Budget) -> bool:
    match args:
        case (Global() as called,):
            return is_type(called)
    return False


STANDARD: Mapping[Pair, Callable[[Args, Budget], bool]] = {
    **dict.fromkeys((*SINGLE_VALUES, *TYPE_FORMS, MEMMAP), _never),
    **dict.fromkeys(GETITEM, _form_of_types),
    GENERIC_ALIAS: _alias_of_type,
    PARTIAL: _partial,
    **dict.fromkeys(TYPE_OF, _type_of),
    **dict.fromkeys(ZONES, _zone),
    PATTERN: _pattern,
    TIME_PARTS: _time_parts,
    DECIMAL: _decimal,
    FRACTION: _fraction,
    LOGGER: _logger,
    NUMBERS: _numbers,
    NUMBERS_MAKER: _numbers_of_bytes,
    MASKED_CONSTANT: _nothing,
    **dict.fromkeys((*WRAPPED_TEXTS, TORCH_VERSION), _texts),
}
