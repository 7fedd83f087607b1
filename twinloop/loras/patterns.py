"""PEFT's ``rank_pattern`` and ``alpha_pattern``: one value for many layers, some of which have their own.

Its keys are regular expressions that fit the end of a layer's path, and the first one that fits counts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from twinloop.errors import ModelFileError

T = TypeVar("T")
_PLAIN = re.compile(r"[\w.]+")
_REPEATS = re.compile(r"[*+{]")
_UNSAFE = re.compile(r"[)}*+?][*+{]|\\\d|\(\?")
"""What makes a match take time without bounds: repeated groups and repeats, references back. Few of the others do
not."""
_MOST_EXPRESSIONS, _MOST_REPEATS, _MOST_BRANCHES, _LONGEST = 16, 2, 6, 200


def keyed(values: Mapping[str, T], usual: T) -> dict[str, T]:
    """The values that are not the usual one, under keys that fit their own layers only.

    A path that another one ends in (FLUX.1's ``proj_out``, and that of every single block) is bound to the beginning.
    The others stay as they are, so that programs that look for the path itself find it.
    """
    ends = {end for path in values for end in _ends(path)}
    return {
        f"^{re.escape(path)}" if path in ends else path: value
        for path, value in sorted(values.items())
        if value != usual
    }


def _ends(path: str) -> Iterator[str]:
    """``a.b.c`` -> ``b.c``, ``c``."""
    while "." in path:
        path = path.partition(".")[2]
        yield path


class Patterns:
    """The values of one such table, looked up by the path of a layer.

    A key that is a layer's whole path goes before those that it only ends in; among these the first one counts, as in
    PEFT.

    Raises:
        ModelFileError: a regular expression that may take unbounded time; real files hardly have any.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._whole = dict[str, Any]()
        self._ends = dict[str, tuple[int, Any]]()
        self._expressions = list[tuple[int, re.Pattern[str], Any]]()
        for number, (key, value) in enumerate(table.items()):
            bare = key.replace(r"\.", ".")
            if bare.startswith("^") and _PLAIN.fullmatch(bare[1:]):
                self._whole.setdefault(bare[1:], value)
            elif _PLAIN.fullmatch(bare):
                self._ends.setdefault(bare, (number, value))
            else:
                self._expressions.append((number, re.compile(_safe(key)), value))
        if len(self._expressions) > _MOST_EXPRESSIONS:
            raise ModelFileError(f"it chooses layers by {len(self._expressions)} expressions, more than a LoRA needs")

    def of(self, path: str) -> Any:
        """The value for a layer; None = no key fits."""
        if path in self._whole:
            return self._whole[path]
        if path in self._ends:
            return self._ends[path][1]
        fitting = [self._ends[end] for end in _ends(path) if end in self._ends]
        if len(path) <= _LONGEST:
            starts = (path, *_ends(path))
            fitting += [(n, v) for n, key, v in self._expressions if any(_fits(key, path, start) for start in starts)]
        return min(fitting, key=lambda found: found[0])[1] if fitting else None


def _fits(key: re.Pattern[str], path: str, start: str) -> bool:
    """Whether an expression is ``start``, the end of ``path``; one that is bound to the beginning fits there only."""
    return (start == path or not key.pattern.startswith("^")) and key.fullmatch(start) is not None


def _safe(key: str) -> str:
    many = len(_REPEATS.findall(key)) > _MOST_REPEATS or key.count("|") > _MOST_BRANCHES
    if many or len(key) > _LONGEST or _UNSAFE.search(key):
        raise ModelFileError(f"it chooses layers by the expression {key[:60]!r}, which is not followed here")
    return key
