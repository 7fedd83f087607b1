"""Records that were read as JSON: each field is what it is said to be, or a ValueError names it and what stands there.

sha256 = entry(data, "sha256", text)
members = entry(data, "members", list_of(Member.from_json))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
D = TypeVar("D")
_KINDS = ((type(None), "null"), (bool, "true or false"), (str, "a text"), (list, "a list"), (dict, "an object"))


def entry(data: Any, name: str, parse: Callable[[Any], T]) -> T:
    """What stands in a field of an object."""
    values = table(data)
    if name not in values:
        raise ValueError(f'"{name}" is missing')
    return _at(f'"{name}"', parse, values[name])


def entry_or(data: Any, name: str, parse: Callable[[Any], T], missing: D) -> T | D:
    """As `entry`, of a field that may be null or missing."""
    return missing if table(data).get(name) is None else entry(data, name, parse)


def text(value: Any) -> str:
    return value if isinstance(value, str) else _refuse(value, "a text")


def flag(value: Any) -> bool:
    return value if isinstance(value, bool) else _refuse(value, "true or false")


def number(value: Any) -> float:
    """A finite number."""
    return float(value) if _is_number(value) else _refuse(value, "a number")


def whole(value: Any) -> int:
    """A whole number, also one that is written as 3.0."""
    return int(value) if _is_number(value) and value == int(value) else _refuse(value, "a whole number")


def count(value: Any) -> int:
    """A whole number of 0 or more."""
    return found if (found := whole(value)) >= 0 else _refuse(value, "a number of 0 or more")


def table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else _refuse(value, "an object")


def optional(parse: Callable[[Any], T]) -> Callable[[Any], T | None]:
    """The same, or null."""
    return lambda value: None if value is None else parse(value)


def list_of(parse: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    def parsed(value: Any) -> tuple[T, ...]:
        items = value if isinstance(value, list | tuple) else _refuse(value, "a list")
        return tuple(_at(f"number {position}", parse, item) for position, item in enumerate(items, 1))

    return parsed


def table_of(parse: Callable[[Any], T]) -> Callable[[Any], dict[str, T]]:
    return lambda value: {name: _at(f'"{name}"', parse, item) for name, item in table(value).items()}


def _at(place: str, parse: Callable[[Any], T], value: Any) -> T:
    try:
        return parse(value)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _refuse(value: Any, expected: str) -> Any:
    found = next((words for kind, words in _KINDS if isinstance(value, kind)), "") or f"the number {str(value)[:20]}"
    raise ValueError(f"{found} in the place of {expected}")
