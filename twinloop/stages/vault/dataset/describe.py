"""A captioner's words beside the template's: what is identity goes, what the template says stays, and the whole keeps
within a length.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from twinloop.domain.captions import COUNT, Description, head_length, one_line, parts_of, plain

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
_TRAIT = re.compile(
    r"(?:.*\b)?(?:hair|eyes|pupils|sclera|irises|ears|tails?|horns|wings|fangs?|bangs|skin|fur|antennae|antlers|breasts)"
    r"|(?:huge )?ahoge|sidelocks|heterochromia|halo|third eye|tan|tanlines|freckles|facial mark|forehead mark"
    r"|hair (?:between eyes|over one eye|over shoulder|intakes|flaps|behind ear)|short hair with long locks"
    r"|eyebrows hidden by hair|eyes visible through hair|animal ear fluff|dark-skinned (?:fe)?male|flat chest"
    r"|large pectorals|tsurime|tareme|jitome|(?:fox|cat|dog|rabbit|wolf|demon) (?:girl|boy)|elf|whisker markings"
    r"|scar (?:on \w+|across eye)",
    re.IGNORECASE,
)
"""A whole tag that says what a character has at all times: hair, eyes, ears, tail, horns, wings, skin, bust."""
_HAIRDO = re.compile(
    r"(?:.*[ -])?(?:twintails|ponytail|braids?|drills|bob cut|hime cut|bun|updo|side up)|low-tied long hair|ringlets"
    r"|hair rings",
    re.IGNORECASE,
)
"""How hair is worn: a drawn character's own, as its hair is; a person wears it one way today and another tomorrow."""
_PASSING = re.compile(
    r"(?:closed|half[- ]closed|one|covered|empty|rolling|sparkling|bloodshot|narrowed|covering own|rubbing|crazy"
    r"|averting|crying with|wet|fake animal) (?:eyes?|ears|hair)|crying with eyes open|floating hair|hair spread out"
    r"|(?:constricted|dilated|heart-shaped|star-shaped) pupils|(?:shiny|wet|torn) skin|hand in own hair|(?:fake|spread|"
    r"flapping) (?:animal ears|tail|horns|wings)|ears down|tail raised",
    re.IGNORECASE,
)
"""What sounds like a trait and comes and goes: an expression, wet hair, what is put on."""
NAMED: Mapping[str, Mapping[str, frozenset[str]]] = {
    "expression": {
        "neutral": frozenset({"expressionless", "neutral expression"}),
        "smile": frozenset({"smile", "smiling", "light smile", "grin", "smirk", "happy", ":d", ";d", "^ ^"}),
        "serious": frozenset({"serious"}),
        "laughing": frozenset({"laughing"}),
        "surprised": frozenset({"surprised", "wide-eyed", ":o", "d:"}),
        "angry": frozenset({"angry", "annoyed", "glaring", "frown", "light frown", "scowl", "v-shaped eyebrows"}),
        "": frozenset({"sad", "crying", "scared", "embarrassed", "disgust", "pout"}),
    },
    "framing": {
        "close_up": frozenset({"close-up", "face"}),
        "portrait": frozenset({"portrait"}),
        "half_body": frozenset({"upper body"}),
        "full_body": frozenset({"full body", "wide shot", "very wide shot"}),
        "": frozenset({"cowboy shot", "lower body"}),
    },
}
"""Facet -> value -> what taggers call it; "" = what is none of the facet's values, and rules them all out."""
_ALIKE = (
    frozenset({"smile", "laughing"}),
    frozenset({"neutral", "serious"}),
    frozenset({"angry", "serious"}),
    frozenset({"close_up", "portrait"}),
)
"""Values of which one may be said beside the other."""
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
    "smile": {"smile", "smiling"},
    "neutral expression": {"expressionless"},
    "serious expression": {"serious"},
    "surprised expression": {"surprised"},
    "angry expression": {"angry"},
    "frowning": {"frown"},
    "eyes closed": {"closed eyes", "eyes closed"},
    "closed eyes": {"closed eyes", "eyes closed"},
    "laughing": {"laughing", "open mouth", "smile"},
    "close-up portrait": {"close-up", "portrait"},
    "close-up": {"close-up", "portrait"},
    "head and shoulders portrait": {"portrait"},
    "from the waist up": {"upper body"},
    "full-body shot": {"full body"},
    "wearing sunglasses": {"sunglasses"},
    "plain backdrop": {"simple background"},
}


def told_otherwise(said: Description, facet: str, values: Sequence[str]) -> bool:
    """Whether the surest tag of a facet says something else than its measured values: what a tagger names stands, and
    the template is silent."""
    named = _named(said, facet)
    return named is not None and bool(values) and not any(_alike(named, value) for value in values)


def _named(said: Description, facet: str) -> str | None:
    """The value that the surest tag of a facet names; None = none names one."""
    return next((value for tag in said.tags if (value := _value_of(tag, facet)) is not None), None)


def _value_of(tag: str, facet: str) -> str | None:
    return next((value for value, tags in NAMED.get(facet, {}).items() if plain(tag) in tags), None)


def _alike(one: str, other: str) -> bool:
    return one == other or any({one, other} <= both for both in _ALIKE)


def merged(
    template: str,
    said: Description,
    *,
    angle_measured: bool,
    most_words: int,
    trigger: str | None,
) -> str:
    """The template's caption with what a captioner adds to it.

    The template stands first and whole. Tags of identity, of what the template says, and (where it was measured) of the
    angle are left out; of sentences, the subject and such phrases are. Parts that do not fit into ``most_words`` are
    left out from the end.

    Args:
        trigger: of a template in tags, to whose head tags of how many there are belong; None = it is prose.
    """
    if trigger is not None:
        template = _counted(template, said, trigger)
    known = _known(template)
    added = [*_from_text(said.text), *_of_one_mind(said)]
    parts = [template]
    room = most_words - len(template.split())
    for part in added:
        words = one_line(part)
        folded = words.casefold()
        if (
            not words
            or folded in known
            or _is_identity(words, drawn=trigger is not None)
            or (angle_measured and _ANGLE.search(words))
        ):
            continue
        if len(words.split()) > room:
            break
        known.add(folded)
        room -= len(words.split())
        parts.append(words)
    return ", ".join(parts)


def _is_identity(words: str, *, drawn: bool) -> bool:
    """Whether a whole part says who somebody is, or how many there are.

    Args:
        drawn: of a character for a base that reads tags.
    """
    if COUNT.fullmatch(words):
        return drawn or not re.match("multiple", words, re.IGNORECASE)  # sentences say so nowhere else
    trait = _TRAIT.fullmatch(words) or (drawn and _HAIRDO.fullmatch(words))
    return bool(IDENTITY_TAG.fullmatch(words) or (trait and not _PASSING.fullmatch(words)))


def _of_one_mind(said: Description) -> list[str]:
    """The tags without those that contradict a surer one of the same facet."""
    surest = {facet: _named(said, facet) for facet in NAMED}
    return [
        tag
        for tag in said.tags
        if all(
            (value := _value_of(tag, facet)) is None or _alike(value, named)
            for facet, named in surest.items()
            if named is not None
        )
    ]


def _counted(template: str, said: Description, trigger: str) -> str:
    """The template with a tagger's tags of how many there are in its head, as far as the label leaves them open."""
    parts, length = parts_of(template), head_length(template, trigger)
    head = [plain(part) for part in parts[:length]]
    counts = [tag for tag in map(plain, said.tags) if COUNT.fullmatch(tag) and not tag.startswith("solo")]
    sexed = any(COUNT.fullmatch(part) and not part.startswith("solo") for part in head)
    if "solo" in head:  # one face was seen: others that a tagger sees are on a poster, or behind
        counts = [] if sexed else [tag for tag in counts if tag.startswith("1")][:1]
    elif sexed:
        counts = [tag for tag in counts if not tag.startswith("1")]
    place = length - (head[-1:] == ["solo"])
    return ", ".join((*parts[:place], *counts, *parts[place:]))


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
