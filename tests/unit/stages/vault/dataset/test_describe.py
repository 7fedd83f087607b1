"""Captioners' words beside the template: identity goes, the measured angle stays, the length is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.domain.captions import Description
from twinloop.domain.choices import CAPTION_WORDS, MOST_CAPTION_WORDS
from twinloop.stages.vault.dataset import describe
from twinloop.stages.vault.dataset.describe import IDENTITY_TAG, told_otherwise

TEMPLATE = "ohwx alice woman, close-up portrait, front view, facing the camera, smiling"
TAGS = st.lists(
    st.sampled_from(
        ("blonde hair", "blue eyes", "glasses", "from side", "smile", "red shirt", "1girl", "long wavy hair", "park")
    ),
    max_size=80,
)


def merged(
    template: str,
    said: Description,
    *,
    angle_measured: bool,
    most_words: int = CAPTION_WORDS,
    trigger: str | None = None,
) -> str:
    """As `describe.merged`, of a prose caption of the usual length where nothing else is said."""
    return describe.merged(template, said, angle_measured=angle_measured, most_words=most_words, trigger=trigger)


@given(TAGS, st.booleans())
def test_the_template_stands_first_and_whole_and_the_length_is_kept(tags: list[str], measured: bool) -> None:
    full = merged(TEMPLATE, Description(tags=tuple(tags)), angle_measured=measured)
    assert full.startswith(TEMPLATE) and len(full.split()) <= CAPTION_WORDS
    assert not {"blonde hair", "blue eyes", "1girl", "long wavy hair"} & set(full.split(", "))


def test_more_words_where_they_are_asked_for() -> None:
    said = Description(", ".join(f"a thing number {number}" for number in range(60)))
    usual = merged("ohwx", said, angle_measured=True)
    long = merged("ohwx", said, angle_measured=True, most_words=MOST_CAPTION_WORDS)
    assert len(usual.split()) == 49 and long.startswith(usual) and len(long.split()) == 197


@pytest.mark.parametrize(
    "tag",
    [
        "blonde hair",
        "long hair",
        "blue eyes",
        "1girl",
        "solo",
        "freckles",
        "old man",
        "dark skin",
        "mole under eye",
        "multiple girls",
        "asian",
        "2boys",
        "very long straight black hair",
    ],
)
def test_identity_is_left_out(tag: str) -> None:
    if tag == "multiple girls":
        assert IDENTITY_TAG.fullmatch(tag) is None  # how many there are is not who she is
    else:
        assert merged("ohwx", Description(tags=(tag,)), angle_measured=True) == "ohwx"


@pytest.mark.parametrize(
    "tag", ["glasses", "hair ornament", "red shirt", "closed eyes", "beard", "hat", "white background"]
)
def test_what_can_be_put_on_or_off_stays(tag: str) -> None:
    assert merged("ohwx", Description(tags=(tag,)), angle_measured=True) == f"ohwx, {tag}"


@pytest.mark.parametrize(
    "tag",
    [
        "aqua hair", "very long hair", "twintails", "low twintails", "ahoge", "sidelocks", "blunt bangs", "hair bun",
        "heterochromia", "red eyes", "slit pupils", "cat ears", "animal ears", "fox tail", "demon horns", "angel wings",
        "fang", "halo", "pointy ears", "colored skin", "blue skin", "large breasts", "flat chest", "multicolored hair",
        "hair between eyes", "short hair with long locks", "side ponytail", "twin braids", "bob cut", "pale skin",
    ],
)  # fmt: skip
def test_what_a_drawn_character_always_has_is_left_to_the_trigger(tag: str) -> None:
    assert merged("ohwx", Description(tags=(tag,)), angle_measured=True, trigger="ohwx") == "ohwx"


@pytest.mark.parametrize("tag", ["hair bun", "ponytail", "twin braids"])
def test_in_sentences_about_a_person_a_hairdo_is_what_varies(tag: str) -> None:
    assert merged("ohwx", Description(tags=(tag,)), angle_measured=True) == f"ohwx, {tag}"


@pytest.mark.parametrize(
    "tag",
    [
        "closed eyes", "half-closed eyes", "one eye closed", "wet hair", "floating hair", "fake animal ears",
        "earrings", "hair ribbon", "hairband", "headphones", "cowboy shot", "detached sleeves", "horn ribbon",
    ],
)  # fmt: skip
def test_expressions_and_what_is_worn_are_no_traits(tag: str) -> None:
    assert merged("ohwx", Description(tags=(tag,)), angle_measured=True, trigger="ohwx") == f"ohwx, {tag}"


@pytest.mark.parametrize(
    ("facet", "measured", "tags", "other"),
    [
        ("expression", "neutral", ("hat", "smile"), True),
        ("expression", "neutral", ("crying",), True),
        ("expression", "neutral", ("expressionless", "smile"), False),
        ("expression", "smile", ("laughing",), False),
        ("expression", "smile", ("hat",), False),
        ("expression", "angry", ("frown",), False),
        ("expression", "neutral", ("frown",), True),
        ("framing", "portrait", ("upper body",), True),
        ("framing", "half_body", ("cowboy shot",), True),
        ("framing", "portrait", ("close-up",), False),
        ("setting", "indoor", ("smile",), False),
    ],
)
def test_what_a_tagger_names_is_not_contradicted_by_the_template(
    facet: str, measured: str, tags: tuple[str, ...], other: bool
) -> None:
    assert told_otherwise(Description(tags=tags), facet, (measured,)) is other
    assert not told_otherwise(Description(tags=tags), facet, ())


def test_of_tags_that_contradict_one_another_the_surest_is_said() -> None:
    said = Description(tags=("smile", "upper body", "expressionless", "full body", "hat"))
    assert merged("ohwx", said, angle_measured=True) == "ohwx, smile, upper body, hat"


@pytest.mark.parametrize(
    ("template", "trigger", "tags", "full"),
    [
        ("ohwx, 1girl, solo, smile", "ohwx", ("1girl", "solo", "hat"), "ohwx, 1girl, solo, smile, hat"),
        ("ohwx, 1girl, solo, smile", "ohwx", ("1boy", "2girls"), "ohwx, 1girl, solo, smile"),
        ("ohwx, 1girl, solo, smile", "ohwx", ("multiple girls", "solo focus"), "ohwx, 1girl, solo, smile"),
        ("ohwx, 1girl, smile", "ohwx", ("multiple girls",), "ohwx, 1girl, multiple girls, smile"),
        ("ohwx, solo, smile", "ohwx", ("1girl", "solo"), "ohwx, 1girl, solo, smile"),
        ("ohwx, 1girl, smile", "ohwx", ("2girls", "solo"), "ohwx, 1girl, 2girls, smile"),
        ("ohwx, smile", "ohwx", ("1girl", "1boy"), "ohwx, 1girl, 1boy, smile"),
        ("1girl, ohwx, solo", "1girl, ohwx", ("1girl",), "1girl, ohwx, solo"),
    ],
)
def test_count_tags_of_a_tagger_join_the_head(template: str, trigger: str, tags: tuple[str, ...], full: str) -> None:
    assert merged(template, Description(tags=tags), angle_measured=True, trigger=trigger) == full


def test_the_angle_is_the_measured_one() -> None:
    said = Description(tags=("from side", "profile", "hat"))
    assert merged(TEMPLATE, said, angle_measured=True) == f"{TEMPLATE}, hat"
    assert merged("ohwx", said, angle_measured=False) == "ohwx, from side, profile, hat"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a woman with blonde hair and blue eyes smiling at the camera", "smiling at the camera"),
        (
            "A photo of a young asian woman with long black hair wearing glasses, standing in front of a tree.",
            "wearing glasses, standing in front of a tree",
        ),
        (
            "The image shows a man sitting on a bench. He has short brown hair and a beard.",
            "sitting on a bench, a beard",
        ),
        ("a close up of a person with a beard and blue eyes", "with a beard"),
        ("", ""),
    ],
)
def test_sentences_lose_their_subject_and_identity(text: str, left: str) -> None:
    assert merged("ohwx", Description(text), angle_measured=True) == (f"ohwx, {left}" if left else "ohwx")


def test_nothing_is_said_twice() -> None:
    assert (
        merged(TEMPLATE, Description(tags=("smile", "Smiling", "close-up", "hat", "hat")), angle_measured=True)
        == f"{TEMPLATE}, hat"
    )
