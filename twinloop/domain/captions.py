"""What a captioner says of a picture, and how captions are taken apart."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
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
        return cls(encodable(str(data["text"])), tuple(encodable(str(tag)) for tag in data["tags"]))


def parts_of(caption: str) -> list[str]:
    """The parts between commas, trimmed; empty ones left out."""
    return [part for part in (piece.strip() for piece in caption.split(",")) if part]


def one_line(text: str) -> str:
    """Words divided by single spaces: captions have no lines, and only signs that a file can hold."""
    return encodable(" ".join(text.split()))


def encodable(text: str) -> str:
    """Text without lone surrogates, which JSON can escape and UTF-8 cannot hold; pairs become the sign they mean."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def lines_of(text: str) -> list[str]:
    """The lines with words, each as `one_line` has it."""
    return [line for line in map(one_line, re.split(r"\r\n|\r|\n", text)) if line]


def first_line(text: str) -> str:
    """What a caption file says: its first line with words, as sd-scripts reads it; "" = nothing."""
    return next(iter(lines_of(text)), "")


def with_trigger(caption: str, trigger: str) -> str:
    """A caption that holds the trigger: ``[trigger]`` filled in, or put in front where it is missing; in a caption of
    tags it stands in front, and once.

    Upper and lower case, and ``_`` and a space, count the same, and a backslash before a bracket for nothing. Of a
    trigger with commas (``ohwx, 1girl``) only the parts that are missing are added, and no count tag to a caption that
    says itself how many there are.
    """
    caption = one_line(caption).replace("[trigger]", trigger)
    parts, wanted = parts_of(caption), _wanted(caption, trigger)
    missing = [part for part in wanted if not _has_words(caption, part)]
    if wanted and _are_tags([*missing, *parts]):
        full = _with_lead(parts, wanted)
        same = [part.casefold() for part in full] == [part.casefold() for part in parts]
        return caption if same else ", ".join(full)
    if not missing:
        return caption
    pieces = caption.split(",")
    first = list(takewhile(lambda piece: _is_tag(piece) and any(_has_words(piece, part) for part in wanted), pieces))
    told = [part for part in wanted if part in missing or any(_has_words(piece, part) for piece in first)]
    rest = ",".join(pieces[len(first) :]).strip()
    return ", ".join((*_with_lead(parts_of(",".join(first)), told), *([rest] if rest else [])))


def holds_trigger(caption: str, trigger: str) -> bool:
    """Whether all parts of a trigger that `with_trigger` would add stand in a caption, wherever that is."""
    return all(_has_words(caption, part) for part in _wanted(caption, trigger))


def _wanted(caption: str, trigger: str) -> list[str]:
    """The parts of a trigger that belong into a caption: no count tag where the caption counts otherwise."""
    parts = parts_of(trigger)
    if _COUNTED.search(plain(caption)) is None:
        return parts
    return [part for part in parts if _has_words(caption, part) or not COUNT.fullmatch(part)]


def _are_tags(parts: Sequence[str]) -> bool:
    """Whether these are tags and no sentence cut at its commas: several short parts without an article or a verb."""
    return len(parts) > 1 and all(map(_is_tag, parts))


def _is_tag(part: str) -> bool:
    return len(part.split()) <= MOST_OF_A_TAG and not _PROSE.search(part)


def _with_lead(parts: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The parts of a caption of tags, those that hold the trigger in front, in the trigger's own order.

    A part that says more than the trigger's ("ohwx woman") counts as it is.
    """
    names = {plain(part) for part in wanted}
    rest = [part for part in parts if plain(part) not in names]
    whole = {plain(part) for part in parts} & names
    lead = [
        part if plain(part) in whole else next((longer for longer in rest if _has_words(longer, part)), part)
        for part in wanted
    ]
    return [*dict.fromkeys(lead), *(part for part in rest if part not in lead)]


def plain(words: str) -> str:
    """Words as they are compared: ``mikuoc_\\(series\\)`` is "mikuoc (series)"."""
    return one_line(words.replace("\\", "").replace("_", " ")).casefold()


COUNT = re.compile(r"(?:\d\+?|multiple[ _])(?:girl|boy|other)s?|solo(?:[ _]focus)?", re.IGNORECASE)
"""Tags of how many there are, and of which sex."""
_COUNTED = re.compile(r"(?<!\w)(?:(?:\d\+?|multiple )(?:girl|boy|other)s?|no humans?)(?!\w)")
"""In words as `plain` has them: that a caption says itself how many there are, and of which sex."""
_SEVERAL = re.compile(r"(?:[2-9]\+?|multiple[ _])(?:girl|boy|other)s?", re.IGNORECASE)
_SEXES = {"1girl": ("woman", "girl", "lady", "female"), "1boy": ("man", "boy", "guy", "male")}


def count_tags(trigger: str, class_word: str, *, alone: bool = True) -> tuple[str, ...]:
    """The tags of how many there are that a caption of tags has beside its trigger: the sex that the trigger's words
    or the class word tell, unless the trigger counts itself, and ``solo``.

    Args:
        alone: nobody else is in the picture.
    """
    parts = parts_of(trigger)
    counted = {plain(part) for part in parts if COUNT.fullmatch(part)}
    words = [*re.findall(r"\w+", plain(trigger))[::-1], *plain(class_word).split()[::-1]]
    told = next((tag for word in words for tag, names in _SEXES.items() if word in (tag, *names)), "")
    several = any(_SEVERAL.fullmatch(part) for part in parts)
    sex = () if several or not told or any(tag != "solo" for tag in counted) else (told,)
    return (*sex, *(("solo",) if alone and not several and "solo" not in counted else ()))


def head_length(caption: str, trigger: str) -> int:
    """How many parts at the beginning of a caption are the trigger and the count tags beside it; 1 at least."""
    names = {plain(part) for part in parts_of(trigger)}
    parts, length = parts_of(caption), max(1, len(names))
    while length < len(parts) and (COUNT.fullmatch(parts[length]) or plain(parts[length]) in names):
        length += 1
    return length


def shuffled(caption: str, keep: int, order: int) -> str:
    """A caption with its parts in another order, but for the first ``keep``; order 0 is the caption as it is."""
    parts = parts_of(caption)
    first, rest = parts[:keep], parts[keep:]
    if order == 0 or len(rest) < 2:
        return caption
    random.Random(f"{order} {caption}").shuffle(rest)
    return ", ".join((*first, *rest))


def thinned(caption: str, keep: int, rate: float, order: int, trigger: str = "") -> str:
    """A caption without a share of its parts, but for the first ``keep`` and those that hold a part of the trigger,
    which prose has anywhere; another order leaves out others.
    """
    parts, names = parts_of(caption), parts_of(trigger)
    drawn = random.Random(f"thinned {order} {caption}")
    rest = [part for part in parts[keep:] if drawn.random() >= rate or any(_has_words(part, name) for name in names)]
    return ", ".join((*parts[:keep], *rest))


def of_the_class(caption: str, trigger: str, class_word: str) -> str:
    """The caption of another one of the subject's class: ``class_word`` in the place of the trigger, once.

    The trigger is found as `with_trigger` finds it. A word for people that follows it goes with it, so that "ohwx
    woman" becomes "woman".
    """
    first, *others = parts_of(trigger) or [""]
    if not first:
        return caption
    people = "|".join(map(re.escape, sorted({class_word.casefold(), *PEOPLE}, key=len, reverse=True)))
    said = re.sub(rf"{_words(first)}(?:\s+(?:{people})(?!\w))?", lambda _: class_word, caption, flags=re.IGNORECASE)
    for other in others:
        said = re.sub(_words(other), "", said, flags=re.IGNORECASE)
    return ", ".join(parts_of(one_line(said)))


PEOPLE = ("person", "woman", "man", "girl", "boy", "lady", "guy", "child", "character")
"""Words of the classes of people."""


MOST_OF_A_TAG = 5
"""Words of the longest tags."""
_PROSE = re.compile(r"\b(?:a|an|the|is|are|his|her|their|who|with|and)\b|[.!?;]$|[.;]\s", re.IGNORECASE)
"""What sentences have and tags have not."""


def _has_words(caption: str, words: str) -> bool:
    """Whether words stand in a caption as such: "ana" is not in "banana"."""
    return re.search(rf"(?<!\w){re.escape(plain(words))}(?!\w)", plain(caption)) is not None


def _words(words: str) -> str:
    """A pattern of words as `plain` compares them."""
    signs = [r"[\s_]+" if sign == " " else (r"\\?" if sign in "()" else "") + re.escape(sign) for sign in plain(words)]
    return rf"(?<!\w){''.join(signs)}(?!\w)"
