"""Prompts in which some words count more than others, ``(smile:1.3)``, in the writing of A1111 and ComfyUI."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_NUMBER = re.compile(r":\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*$")
"""The end of what stands in brackets, where it has a weight."""
_LONGEST = 16
"""Characters of a colon and its number, with blanks."""
_TIME = re.compile(r"\b\d{1,2}:\d\d\s*$")
_ESCAPED = re.compile(r"\\([()])")
_BRACKETS = re.compile(r"(?<!\\)[()]")


@dataclass(frozen=True)
class WeightedText:
    """A prompt with weights.

    Attributes:
        written: as the user has it.
        parts: (words, weight) in the order of the text, none of them empty; 1 = counts as it does without brackets.
    """

    written: str
    parts: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        return self.written


def read_weights(prompt: str) -> str | WeightedText:
    """A prompt's words with their weights; plain words where nothing in it has one.

    ``(words:1.3)`` weighs words; brackets in brackets multiply. Brackets without a number are letters, since names of
    characters have them: "ganyu (genshin impact)". So are those with a backslash before them, which goes, and those
    around a time of day.
    """
    parts = [(_ESCAPED.sub(r"\1", words), weight) for words, weight in _parts(prompt)]
    if all(weight == 1.0 for _, weight in parts):
        return "".join(words for words, _ in parts)
    return WeightedText(prompt, tuple((words, weight) for words, weight in parts if words.strip()))


def _parts(prompt: str) -> Iterator[tuple[str, float]]:
    """(words, weight) in order, without the brackets and the numbers that say the weight."""
    weights, done = [1.0], 0
    for start, end, weight in sorted(_marks(prompt)):
        yield prompt[done:start], weights[-1]
        done = end
        if weight is None:
            weights.pop()
        else:
            weights.append(weights[-1] * weight)
    yield prompt[done:], weights[-1]


def _marks(prompt: str) -> Iterator[tuple[int, int, float | None]]:
    """Where a weight begins to count, (start, end, weight), and where it ends, (start, end, None)."""
    opened = list[int]()
    for bracket in _BRACKETS.finditer(prompt):
        place = bracket.start()
        if bracket[0] == "(":
            opened.append(place)
        elif opened:
            start = opened.pop() + 1
            near = max(start, place - _LONGEST)  # brackets in brackets are not read again and again
            number = None if _TIME.search(prompt, near, place) else _NUMBER.search(prompt, near, place)
            if number is not None and prompt[start : number.start()].strip():
                yield start - 1, start, float(number[1])
                yield number.start(), place + 1, None
