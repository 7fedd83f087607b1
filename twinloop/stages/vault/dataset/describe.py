"""A captioner's words beside the template's: what is identity goes, what the template says stays, and the whole keeps
within a length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from twinloop.domain.captions import Description, one_line, parts_of

MOST_WORDS = 50
"""Of a caption: about the 75 tokens that one pass of a CLIP text encoder reads."""

_COLOURS = (
    "blonde?|brown|brunette|black|red|ginger|auburn|gr[ae]y|white|silver|golden|dark|light|fair|blue|green|hazel|amber"
    "|pink|purple|orange|yellow|aqua"
)
_SHAPES = (
    "long|short|medium|very|shoulder[- ]length|curly|wavy|straight|thick|thin|bushy|big|small|large|full|round|narrow"
)
_FEATURES = (
    "hair|eyes?|eyebrows?|eyelashes|skin|complexion|lips|nose|chin|jaw|cheeks|freckles?|moles?|dimples?|wrinkles|ears"
    "|breasts?|bust"
)
_PEOPLE = (
    r"\d?(?:girls?|boys?|women|woman|men|man|lady|ladies|guys?|females?|males?|persons?|people|adults?|teenagers?"
    r"|kids?|child(?:ren)?|babies|baby|others?)"
)
_AGES = r"young|old|older|elderly|middle[- ]aged|mature|aged|adult|teen(?:age)?|little|\d+[- ]years?[- ]old"
_ORIGINS = (
    "asian|european|african|american|caucasian|latina?|hispanic|indian|arab(?:ic)?|chinese|japanese|korean|white|black"
    "|dark[- ]skinned|pale"
)

IDENTITY_TAG = re.compile(
    rf"(?:solo(?: focus)?|{_AGES}|{_ORIGINS}|bald|freckles?|realistic|photorealistic|"
    rf"(?:(?:{_AGES}|{_ORIGINS})\s+)*{_PEOPLE}|(?:(?:{_COLOURS}|{_SHAPES})\s+)*(?:{_FEATURES})|mole(?: \w+)+)",
    re.IGNORECASE,
)
"""A whole tag that says who somebody is, not what varies: hair, eyes and skin with colour and form, features of the
face, age, origin, sex, number of people. What can be put on or off (glasses, beard, make-up, hats, a bun) is not
identity and stays."""
_SUBJECT = re.compile(
    rf"^(?:(?:a|an|the)\s+)?(?:(?:{_AGES}|{_ORIGINS}|beautiful|pretty|handsome|attractive|smiling)\s+)*?(?={_PEOPLE}\b){_PEOPLE}\b\s*",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"^(?:(?:the|this)\s+)?(?:image|picture|photo|photograph)\s+(?:shows|depicts|features)\s+"
    r"|^(?:a|an|the)\s+(?:close[- ]?up|(?:close[- ]?up\s+)?(?:photo|photograph|picture|image|portrait))\s+of\s+",
    re.IGNORECASE,
)
_PRONOUN = re.compile(r"^(?:he|she|they)\s+(?:(?:is|are|has|have)\s+)?(?:and\s+)?", re.IGNORECASE)
_FEATURE_IN_TEXT = re.compile(
    rf"\b(?:with\s+|and\s+|,\s*)*(?:(?:his|her|their|a|an)\s+)?(?:(?:{_COLOURS}|{_SHAPES}|{_AGES}|{_ORIGINS})[\s,]+(?:and\s+)?)+(?:{_FEATURES})\b",
    re.IGNORECASE,
)
_AGE_IN_TEXT = re.compile(rf"\b(?:{_AGES}|{_ORIGINS})\s+(?={_PEOPLE}\b)", re.IGNORECASE)
_ANGLE = re.compile(
    r"\b(?:profile|from (?:the )?side|front view|side view|facing (?:away|viewer|left|right)|three-quarter|head"
    r" turned|straight-on)\b",
    re.IGNORECASE,
)
"""What taggers call the angle: where it was measured, the measured words stand alone."""
_SAME = {
    "smiling": {"smile", "smiling"},
    "eyes closed": {"closed eyes", "eyes closed"},
    "laughing": {"laughing", "open mouth", "smile"},
    "close-up portrait": {"close-up", "portrait"},
}


def merged(template: str, said: Description, *, angle_measured: bool, most_words: int = MOST_WORDS) -> str:
    """The template's caption with what a captioner adds to it.

    The template stands first and whole. Tags of identity, of what the template says, and (where it was measured) of the
    angle are left out; of sentences, the subject and such phrases are. Parts that do not fit into ``most_words`` are
    left out from the end.
    """
    known = _known(template)
    added = [*_from_text(said.text), *said.tags]
    parts = [template]
    room = most_words - len(template.split())
    for part in added:
        words = one_line(part)
        folded = words.casefold()
        if not words or folded in known or IDENTITY_TAG.fullmatch(words) or (angle_measured and _ANGLE.search(words)):
            continue
        if len(words.split()) > room:
            break
        known.add(folded)
        room -= len(words.split())
        parts.append(words)
    return ", ".join(parts)


def _known(template: str) -> set[str]:
    known = {part.casefold() for part in parts_of(template)}
    for part in tuple(known):
        known |= _SAME.get(part, set())
    return known


def _from_text(text: str) -> Sequence[str]:
    """A sentence as parts, without its subject and without identity."""
    found = []
    for sentence in re.split(r"(?<=[.!?;])\s+", one_line(text)):
        bare = _SUBJECT.sub("", _OPENING.sub("", sentence.strip(" .!?;")))
        bare = _AGE_IN_TEXT.sub("", _FEATURE_IN_TEXT.sub("", bare))
        bare = _PRONOUN.sub(
            "", re.sub(r"^(?:(?:is|are|and|who is|,)\s+)+", "", one_line(bare).strip(" ,."), flags=re.IGNORECASE)
        )
        found += parts_of(re.sub(r"\s+,", ",", bare))
    return found
