"""What a captioner says of a picture, and how captions are taken apart."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Description:
    """A captioner's own words, before anything is left out.

    Attributes:
        text: a sentence or more; "" from a tagger. tags: surest first, words divided by spaces; () from one that writes
            sentences.
    """

    text: str = ""
    tags: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"text": self.text, "tags": list(self.tags)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Description:
        return cls(str(data["text"]), tuple(str(tag) for tag in data["tags"]))


def parts_of(caption: str) -> list[str]:
    """The parts between commas, trimmed; empty ones left out."""
    return [part for part in (piece.strip() for piece in caption.split(",")) if part]


def one_line(text: str) -> str:
    """Words divided by single spaces: captions have no lines."""
    return " ".join(text.split())


def with_trigger(caption: str, trigger: str) -> str:
    """A caption that holds the trigger: ``[trigger]`` filled in, or put in front where it is missing.

    Upper and lower case count the same; a trigger with commas (``1girl, ohwx``) is there when all of its parts are.
    """
    caption = one_line(caption).replace("[trigger]", trigger)
    if all(_has_words(caption, part) for part in parts_of(trigger)):
        return caption
    return f"{trigger}, {caption}" if caption else trigger


def shuffled(caption: str, keep: int, order: int) -> str:
    """A caption with its parts in another order, but for the first ``keep``; order 0 is the caption as it is."""
    parts = parts_of(caption)
    first, rest = parts[:keep], parts[keep:]
    if order == 0 or len(rest) < 2:
        return caption
    random.Random(f"{order} {caption}").shuffle(rest)
    return ", ".join((*first, *rest))


def of_the_class(caption: str, trigger: str, class_word: str) -> str:
    """The caption of another one of the subject's class: ``class_word`` in the place of the trigger, once.

    The trigger is found as `with_trigger` finds it. A word for people that follows it goes with it, so that "ohwx
    woman" becomes "woman".
    """
    first, *others = parts_of(trigger) or [""]
    if not first:
        return caption
    people = "|".join(map(re.escape, sorted({class_word.casefold(), *_PEOPLE}, key=len, reverse=True)))
    said = re.sub(rf"{_words(first)}(?:\s+(?:{people})(?!\w))?", lambda _: class_word, caption, flags=re.IGNORECASE)
    for other in others:
        said = re.sub(_words(other), "", said, flags=re.IGNORECASE)
    return ", ".join(parts_of(one_line(said)))


_PEOPLE = ("person", "woman", "man", "girl", "boy", "lady", "guy", "child", "character")


def _has_words(caption: str, words: str) -> bool:
    """Whether words stand in a caption as such: "ana" is not in "banana"."""
    return re.search(_words(words.casefold()), caption.casefold()) is not None


def _words(words: str) -> str:
    return rf"(?<!\w){re.escape(words)}(?!\w)"
