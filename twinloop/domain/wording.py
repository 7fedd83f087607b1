"""Numbers and their nouns, for every text that people read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from twinloop.domain.names import JOINER, NON_JOINER

NAMED = 3
"""Of many things so many are named in a sentence."""
NO_PHOTO_TO_TRAIN_ON = "There is no photo to train on. Add photos of the person to the dataset folder."
_HYPHENATED = {"three_quarter": "three-quarter", "close_up": "close-up"}
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plural(count: int, noun: str, many: str | None = None) -> str:
    """``1 photo``, ``2 photos``; ``many`` where an s is not enough."""
    return f"{count} {agree(count, noun, many or noun + 's')}"


def agree(count: int, one: str, many: str) -> str:
    """The word that goes with so many: ``agree(1, "is", "are")`` is ``is``."""
    return one if count == 1 else many


def in_words(name: str) -> str:
    """A name in a record, as it is written in a sentence: ``hands_visible`` -> ``hands visible``, ``three_quarter`` ->
    ``three-quarter``.
    """
    for told, written in _HYPHENATED.items():
        name = name.replace(told, written)
    return name.replace("_", " ")


def some(names: Sequence[str]) -> str:
    """``a, b, c and 7 more``: the first of many, and how many more."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def by_reason(entries: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """(name, reason) of many things -> (names, reason), each reason once: ``a.jpg``, ``a.jpg and 7 more``; names as
    `shown`.
    """
    alike: dict[str, list[str]] = {}
    for name, reason in entries:
        alike.setdefault(reason, []).append(name)
    return [
        (shown(names[0]) + (f" and {len(names) - 1} more" if len(names) > 1 else ""), reason)
        for reason, names in alike.items()
    ]


def percent(share: float) -> str:
    """A share that somebody chose, with the digits that it has: ``5%``, ``2.5%``."""
    return f"{100 * share:g}%"


def shown(text: str) -> str:
    """Text that somebody else wrote (a path, a name in a file) on one line of a terminal: signs that are not printed
    become escapes, but for those that join letters.
    """
    return "".join(char if char.isprintable() or char in (NON_JOINER, JOINER) else _escape(char) for char in text)


def harmless(text: str) -> str:
    """Any text, as a terminal may have it: what it would obey, or write from the other side, becomes escapes; lines and
    tabs stay.
    """
    return _OBEYED.sub(lambda found: _escape(found[0]), text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()


def none_can_be_used(count: int, noun: str, where: str) -> str:
    """``The only photo of Ana cannot be used``, ``None of the 3 photos of Ana can be used``."""
    return (
        f"The only {noun} {where} cannot be used" if count == 1 else f"None of the {count} {noun}s {where} can be used"
    )
