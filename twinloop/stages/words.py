"""Words: prompts and captions from the facets' own phrases, so that what is asked and what is
described never disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twinloop.domain.captions import count_tags
from twinloop.domain.facet import BARE, DefinedFacet, Facet, Phrase
from twinloop.domain.observation import Observation

TAGGED = frozenset({"tags", "pony"})
"""Styles whose phrases are tags."""
_PROSE = "professional photography, high quality, detailed, sharp focus"
QUALITY = {
    "prose": _PROSE,
    "full": _PROSE,
    "tags": "masterpiece, best quality, absurdres",
    "pony": "rating_safe",
}
"""By style: ``prose``, ``tags``, ``pony`` (tags with the scores that Pony Diffusion was trained with), or ``full``,
which is prose whose captions also say what is as usual (for a base whose own captions did)."""
OPENING = {"pony": "score_9, score_8_up, score_7_up"}
"""Quality words that a base reads at the very start, before the trigger."""
_NOT_PROSE = "blurry, low quality, deformed, bad anatomy, watermark, text"
_NOT_TAGS = (
    "nsfw, lowres, bad anatomy, bad hands, worst quality, low quality, jpeg artifacts, signature, watermark, username,"
    " artist name, text"
)
NEGATIVE = {
    "prose": _NOT_PROSE,
    "full": _NOT_PROSE,
    "tags": _NOT_TAGS,
    "pony": f"score_6, score_5, score_4, {_NOT_TAGS}",
}


@dataclass(frozen=True)
class Around:
    """What a prompt has round the facets' words, beside the trigger.

    Attributes:
        prefix, suffix: words before and after all others; None = those of the style, "" = none.
        negative: what is kept away in general; None and "" as above.
        class_word: what the subject is one of; in tags it counts as ``1girl`` or ``1boy`` where the trigger tells none.
    """

    prefix: str | None = None
    suffix: str | None = None
    negative: str | None = None
    class_word: str = ""


USUAL = Around()

ORDER = ("framing", "face_angle", "expression", "composition", "setting", "lighting")
"""Order of the parts in a sentence; facets of the user's own follow."""
FACE_FRAMING = "close_up"
"""The framing of a face alone."""

Wanted = Mapping[str, Mapping[str, int]]
"""What a prompt asks for: facet name -> value -> variant of its phrase."""
NOTHING: Wanted = {}


@dataclass(frozen=True)
class Voice:
    """How prompts speak of the person: the trigger, the style (as in `families.base.Preset`), and what stands round the
    facets' words.
    """

    trigger: str
    style: str
    around: Around = USUAL

    def prompt(self, facets: Sequence[Facet], wanted: Wanted) -> str:
        """A prompt: the trigger first (after what the style opens with), then the wanted values, then quality words."""
        around = self.around
        prefix = OPENING.get(self.style, "") if around.prefix is None else around.prefix
        suffix = QUALITY[self.style] if around.suffix is None else around.suffix
        parts = [prefix, head(self.trigger, self.style, around.class_word)]
        for facet in _in_order(facets):
            parts += [
                phrase(facet, value, self.style, variant) for value, variant in wanted.get(facet.name, {}).items()
            ]
        return ", ".join(part for part in [*parts, suffix] if part)

    def face_prompt(self, facets: Sequence[Facet], wanted: Wanted) -> str:
        """The prompt of the face alone of what `prompt` asks for: a close-up, without what has no room in one
        (hands).
        """
        framed = {facet.name: facet for facet in facets}
        kept = {
            name: {v: variant for v, variant in values.items() if _fits_close_up(framed[name].phrases[v].beside)}
            for name, values in wanted.items()
        }
        if "framing" in framed and FACE_FRAMING in framed["framing"].values:
            kept["framing"] = {FACE_FRAMING: 0}
        return self.prompt(facets, kept)

    def negative(self, facets: Sequence[Facet] = (), wanted: Wanted = NOTHING) -> str:
        """What to keep away: the words of the wanted values, then the general ones (or the user's own).

        The general ones come last, because what is too long for a model is cut off at its end.
        """
        general = NEGATIVE[self.style] if self.around.negative is None else self.around.negative
        own = [
            word
            for facet in _in_order(facets)
            for value in wanted.get(facet.name, {})
            for word in _kept_away(facet.phrases[value], self.style)
            if word not in general
        ]
        return ", ".join(part for part in dict.fromkeys([*own, general]) if part)


def phrase(facet: Facet, value: str, style: str, variant: int) -> str:
    """The words of one facet value; ``variant`` picks among its phrases, round and round; `BARE` = the value alone."""
    words = facet.phrases[value]
    tagged = style in TAGGED
    bare = (words.bare_tags if tagged else "") or words.bare
    if variant == BARE and bare:
        return bare
    choices = (words.tags or words.prose) if tagged else (words.prose or words.tags)
    return choices[variant % len(choices)] if choices else ""


def _in_order(facets: Sequence[Facet]) -> list[Facet]:
    rank = {name: number for number, name in enumerate(ORDER)}
    return sorted(facets, key=lambda facet: rank.get(facet.name, len(ORDER)))


def head(trigger: str, style: str, class_word: str = "", *, alone: bool = True) -> str:
    """What prompts and captions begin with: the trigger, and in tags how many there are (`count_tags`)."""
    counts = count_tags(trigger, class_word, alone=alone) if style in TAGGED else ()
    return ", ".join(part for part in (trigger, *counts) if part)


def _fits_close_up(beside: Mapping[str, Sequence[str]]) -> bool:
    return "framing" not in beside or FACE_FRAMING in beside["framing"]


def _kept_away(words: Phrase, style: str) -> Sequence[str]:
    return (words.negative_tags if style in TAGGED else ()) or words.negative


def caption(trigger: str, facets: Sequence[Facet], seen: Observation, style: str, class_word: str = "") -> str:
    """A training caption: the trigger first, then what varies and was measured; nothing that is identity, or as usual
    (but in style ``full``).
    """
    parts = [head(trigger, style, class_word, alone=len(seen.faces) < 2)]
    for facet in _in_order(facets):
        reading = facet.classify(seen)
        for value in (value for value in reading.present if style == "full" or not facet.phrases[value].usual):
            parts.append(phrase(facet, value, style, _variant(facet, seen, value)))
        parts += [_missing(facet, seen, value, style) for value in reading.absent]
    return ", ".join(part for part in parts if part)


def _missing(facet: Facet, seen: Observation, value: str, style: str) -> str:
    words = facet.phrases[value]
    choices = (words.missing_tags if style in TAGGED else ()) or words.missing
    return choices[_variant(facet, seen, value) % len(choices)] if choices else ""


def _variant(facet: Facet, seen: Observation, value: str) -> int:
    return facet.variant(seen, value) if isinstance(facet, DefinedFacet) else 0
