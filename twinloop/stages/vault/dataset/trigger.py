"""Whether a trigger is a good one: a word that the base model has no picture of yet."""

from __future__ import annotations

import re

from twinloop.domain.captions import parts_of
from twinloop.domain.names import JOINER, NON_JOINER

LONGEST = 60
"""Characters of a trigger or class word; longer ones are descriptions."""
_PEOPLE = (
    "person man woman boy girl male female lady guy child kid baby teen adult people human face portrait photo picture"
    " image"
)
_LOOKS = (
    "red green blue black white brown blonde blond pink purple grey gray gold golden silver dark light pale young old"
    " little big small tall short long pretty beautiful cute hot cool sweet happy sad angry funny real fake best good"
    " bad new hair eyes eye skin smile nose beard"
)
_THINGS = (
    "cat dog bird fox wolf bear lion tiger horse fish dragon rabbit bunny flower rose lily tree leaf forest river lake"
    " ocean sea sky sun moon star stars snow rain storm fire ice water earth stone rock sand wind cloud city street"
    " house home room door window chair table book car train plane ship boat road king queen prince princess knight"
    " angel demon devil ghost witch hero model actor actress singer dancer doctor nurse teacher soldier student boss"
    " style art artist paint drawing sketch anime manga cartoon movie film music dance love heart soul magic dream"
    " night day morning summer winter spring autumn hat cap coat dress shirt jacket suit glasses ring apple orange"
    " cherry berry honey sugar coffee tea milk bread cake ball game play work time life world space robot metal glass"
    " paper wood"
)
_NAMES = (
    "alice anna anne emma emily ella eva grace hannah helen jane jennifer jessica julia kate kim laura lily linda lisa"
    " lucy maria marie mary mia monica nina nora olivia rachel rose ruby sara sarah sofia sophia sophie susan taylor"
    " victoria zoe adam alan alex andrew anthony ben brad brian chris daniel david elon eric frank fred george harry"
    " henry jack jacob james jason jim joe john joseph kevin leo luke mark martin max michael mike oliver oscar paul"
    " peter robert sam scott simon steve thomas tim tom victor william"
)
KNOWN = frozenset(f"{_PEOPLE} {_LOOKS} {_THINGS} {_NAMES}".split())
"""Words of which base models have a picture: a trigger of nothing else starts from that picture."""


def problems_of(trigger: str, class_word: str) -> list[str]:
    """What makes a trigger or class word unusable, in words; [] = nothing does."""
    found = []
    for name, text in (("trigger", trigger), ("class word", class_word)):
        if not text.strip():
            found.append(f"the {name} is empty")
        elif len(text) > LONGEST:
            found.append(f"the {name} has {len(text)} characters; {LONGEST} are the most")
        elif any(not (char.isprintable() or char in (JOINER, NON_JOINER)) or char in "[]" for char in text):
            found.append(f"the {name} holds line breaks, control characters or [ ]")
    return found


def warnings_of(trigger: str, class_word: str) -> tuple[str, ...]:
    """What speaks against a trigger that could be used."""
    words = [word.casefold() for word in re.findall(r"[^\W_]+", trigger)]
    class_words = {word.casefold() for word in re.findall(r"[^\W_]+", class_word)}
    found = []
    if class_words and class_words <= set(words):
        found.append(f"the class word '{class_word}' is part of the trigger; captions say it once")
    own = [word for word in words if word not in class_words and not re.fullmatch(r"\d*(girl|boy|man|woman)s?", word)]
    meanings = {word: meaning_of(word) for word in own}
    if not own:
        found.append(
            f"the trigger '{trigger}' is nothing but class words: put a rare word before it, as in 'ohwx {trigger}'"
        )
    elif all(meanings.values()):
        shown = "; ".join(_shown(word, meaning) for word, meaning in meanings.items())
        found.append(
            f"base models have a picture of '{trigger}' already ({shown}): training starts from that picture. Add a"
            f" rare word, as in 'ohwx {trigger}'"
        )
    if len(parts_of(trigger)) > 1 and not re.search(r"\d(girl|boy|man|woman)", trigger):
        found.append("the trigger has a comma: it is several tags, and only together do they call the person")
    return tuple(found)


def meaning_of(word: str) -> tuple[str, ...]:
    """The known words that a tokenizer would make of this one; () = none, it is rare.

    An estimate without the tokenizer itself: a word counts as split when known words of three letters and more make all
    of it, or one of four and more with at most two letters or digits left over (``catgirl``, ``alice01``).
    """
    word = word.casefold()
    if word in KNOWN:
        return (word,)
    for length in range(len(word) - 3, 2, -1):
        head, tail = word[:length], word[length:]
        if head in KNOWN and (rest := meaning_of(tail)):
            return (head, *rest)
    for known in sorted(KNOWN, key=lambda item: (-len(item), item)):
        if len(known) >= 4 and len(word) - len(known) <= 2 and (word.startswith(known) or word.endswith(known)):
            return (known,)
    return ()


def _shown(word: str, meaning: tuple[str, ...]) -> str:
    return f"'{word}' is a common word or name" if meaning == (word,) else f"'{word}' is read as {' + '.join(meaning)}"
