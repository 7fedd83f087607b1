"""Audit: words that nearly every caption has.

What is always there cannot be told from the trigger: it fuses with it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twinloop.domain.captions import parts_of
from twinloop.domain.facet import Facet
from twinloop.domain.wording import in_words

CONSTANT_FROM = 0.85
"""Share of the captions from which a word counts as constant."""
FEWEST = 8
"""With fewer captions anything is in most of them."""
_SMALL = (
    "a an and are as at behind beside by camera facing for from front has have head her his in into is its looking of"
    " on over photo picture portrait shoulders standing sitting the their to toward turned up view viewer wearing with"
)
_PLAIN = frozenset(_SMALL.split())
"""Words that say nothing alone."""


@dataclass(frozen=True)
class Constant:
    """Words that ``count`` of ``of`` captions have. ``facet``: whose words they are, by name; "" = nobody's."""

    words: str
    count: int
    of: int
    facet: str
    advice: str

    @property
    def text(self) -> str:
        return (
            f"'{self.words}' in {100 * self.count / self.of:.0f} % of captions ({self.count} of {self.of}): it will"
            f" fuse with the trigger. {self.advice}"
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "words": self.words,
            "count": self.count,
            "of": self.of,
            "facet": self.facet or None,
            "advice": self.advice,
            "text": self.text,
        }


def audit(captions: Sequence[str], head: str, facets: Sequence[Facet]) -> tuple[Constant, ...]:
    """The constant words of a set of captions, most frequent first.

    Args:
        head: trigger and class word: they are meant to be constant.
    """
    if len(captions) < FEWEST:
        return ()
    heads = {part.casefold() for part in parts_of(head)} | {head.casefold()}
    bodies = [[part for part in parts_of(text.casefold()) if part not in heads] for text in captions]
    found = _constant(bodies)
    said = {word for words, _ in found for word in _words(words)} | {word for part in heads for word in _words(part)}
    shared = _shared(facets)
    found += [
        (word, members)
        for word, members in _constant(
            [sorted({w for part in body for w in _words(part)} - said - _PLAIN - shared) for body in bodies]
        )
        if len(word) > 2
    ]
    made = [_told(words, len(members), len(captions), facets) for words, members in found]
    return tuple(sorted(made, key=lambda item: (-item.count, item.words)))


def _constant(bodies: Sequence[Sequence[str]]) -> list[tuple[str, frozenset[int]]]:
    """What most bodies hold; parts that always come together are told together."""
    members: dict[str, set[int]] = defaultdict(set)
    for number, body in enumerate(bodies):
        for part in body:
            members[part].add(number)
    together: dict[frozenset[int], list[str]] = defaultdict(list)
    for part, numbers in members.items():
        if len(numbers) >= CONSTANT_FROM * len(bodies):
            together[frozenset(numbers)].append(part)
    return [(", ".join(parts), numbers) for numbers, parts in together.items()]


def _shared(facets: Sequence[Facet]) -> frozenset[str]:
    """Words that phrases of several values of one facet have: `lighting` is in every picture, and says of none how it
    is lit.
    """
    values = Counter(
        (facet.name, word)
        for facet in facets
        for phrase in facet.phrases.values()
        for word in {word for text in (*phrase.prose, *phrase.tags) for word in _words(text.casefold())}
    )
    return frozenset(word for (_, word), count in values.items() if count > 1)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_][\w'-]*", text)


def _told(words: str, count: int, of: int, facets: Sequence[Facet]) -> Constant:
    said = [facet for facet in facets if any(_says(facet, value, words) for value in facet.values)]
    if not said:
        advice = (
            f"Add photos without it; or, if it belongs to this person at all times, take '{words}' out of the captions."
        )
        return Constant(words, count, of, "", advice)
    advice = " ".join(_advice(facet, words, alone=len(said) == 1) for facet in said)
    return Constant(words, count, of, ", ".join(facet.name for facet in said), advice)


def _advice(facet: Facet, words: str, alone: bool) -> str:
    """What photos would make one facet vary. ``alone``: the words are of no other facet."""
    if facet.multiple:  # its values do not exclude each other: there is no other one to wish for
        here = [in_words(value) for value in facet.values if _says(facet, value, words)]
        return "Add photos without it." if alone else f"Add photos without {' and '.join(here)}."
    others = [in_words(value) for value in facet.values if not _says(facet, value, words)]
    name = facet.name.replace("_", " ")
    return f"Add photos with another {name}" + (f": {', '.join(others)}." if others else ".")


def _says(facet: Facet, value: str, words: str) -> bool:
    """Whether a phrase of that value is among the words."""
    known = facet.phrases[value]
    phrases = (*known.prose, *known.tags, known.bare, known.bare_tags)
    return any(set(parts_of(phrase.casefold())) <= set(parts_of(words)) for phrase in phrases if phrase)
