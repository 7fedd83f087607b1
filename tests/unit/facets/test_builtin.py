"""The other built-in facets, and what must hold for every facet of the package."""

from __future__ import annotations

import itertools

import pytest

from tests.unit.things import ALL_MEASURED, face, hand, observation
from twinloop.domain.captions import parts_of
from twinloop.domain.faces import Box
from twinloop.domain.facet import DefinedFacet
from twinloop.domain.observation import Reading
from twinloop.facets import BUILTIN, composition, expression, face_angle, framing, lighting, register_builtin, setting
from twinloop.registry import facets as registry


def test_all_six_are_registered_in_the_order_of_reports() -> None:
    register_builtin()
    names = [facet.name for facet in BUILTIN]
    assert names == ["face_angle", "composition", "expression", "setting", "framing", "lighting"]
    assert [name for name in registry.names() if name in names] == names


@pytest.mark.parametrize("facet", BUILTIN, ids=lambda facet: facet.name)
def test_every_value_has_words_in_both_styles(facet: DefinedFacet) -> None:
    assert set(facet.phrases) == set(facet.values)
    assert all(phrase.prose and phrase.tags for phrase in facet.phrases.values())
    words = [word for phrase in facet.phrases.values() for word in phrase.prose]
    assert len(set(words)) == len(words)


def test_prose_is_prose_and_tags_are_tags() -> None:
    front, far = face_angle.FACET.phrases["front"], framing.FACET.phrases["full_body"]
    assert front.prose == ("front view, facing the camera",) and front.tags == ("straight-on, looking at viewer",)
    assert far.prose == ("full-body shot",) and far.tags == ("full body",)


TAGS = {
    "straight-on", "looking at viewer", "facing viewer", "from side", "profile", "close-up", "face", "portrait",
    "upper body", "full body", "expressionless", "smile", "serious", "laughing", "open mouth", "surprised",
    "raised eyebrows", "angry", "hand up", "hands up", "closed eyes", "sunglasses", "indoors", "outdoors",
    "simple background", "street", "brick wall", "dark", "dim lighting", "white theme", "extra digits", "bad hands",
}  # fmt: skip
"""Of Danbooru, with spaces; no aliases such as ``smiling``, ``eyes closed``, ``side view`` or ``raised hand``."""


@pytest.mark.parametrize("facet", BUILTIN, ids=lambda facet: facet.name)
def test_tags_are_those_that_the_bases_were_taught(facet: DefinedFacet) -> None:
    said = set()
    for words in facet.phrases.values():
        negative, missing = words.negative_tags or words.negative, words.missing_tags or words.missing
        for text in (*words.tags, *negative, *missing, words.bare_tags or words.bare):
            said.update(parts_of(text))
    assert said and said <= TAGS


@pytest.mark.parametrize("facet", BUILTIN, ids=lambda facet: facet.name)
def test_no_value_is_said_by_the_tags_of_another(facet: DefinedFacet) -> None:
    said = {value: [set(parts_of(text)) for text in facet.phrases[value].tags if text] for value in facet.values}
    for value, other in itertools.permutations(facet.values, 2):
        assert not any(one <= two for one in said[value] for two in said[other]), (value, other)


@pytest.mark.parametrize("facet", BUILTIN, ids=lambda facet: facet.name)
def test_an_empty_observation_is_never_a_reading_of_nothing(facet: DefinedFacet) -> None:
    """A missing detector must not look like "none there"."""
    blind = observation(faces=[], measured=())
    for name in list(blind.measures):
        del blind.measures[name]  # type: ignore[attr-defined]
    assert not facet.classify(blind).measured


SHARES = {
    "face_angle": {"front": 0.30, "three_quarter": 0.30, "profile": 0.20},
    "composition": {"hands_visible": 0.30, "eyes_visible": 0.70},
    "expression": {"neutral": 0.20, "smile": 0.20, "serious": 0.10, "laughing": 0.10, "surprised": 0.05, "angry": 0.05},
    "setting": {"indoor": 0.20, "outdoor": 0.20, "studio": 0.15, "casual": 0.15},
    "framing": {"close_up": 0.20, "portrait": 0.30, "half_body": 0.10},
    "lighting": {"normal": 0.40, "low_key": 0.10, "high_key": 0.10},
}


def test_the_usual_shares_are_those_that_are_documented() -> None:
    """A changed share changes every gap without a word: it is changed here too, on purpose."""
    assert {facet.name: dict(facet.shares) for facet in BUILTIN} == SHARES


def test_hands_and_eyes_are_told_apart_from_not_looked_for() -> None:
    judge = composition.FACET.classify
    assert judge(observation(parts=[hand()], measures={"eyes_open": 0.9})).present == ("hands_visible", "eyes_visible")
    assert judge(observation(measures={"eyes_open": 0.49})).absent == ("hands_visible", "eyes_visible")
    assert judge(observation(measures={"eyes_open": 0.5})).present == ("eyes_visible",)
    only_eyes = judge(observation(measured=ALL_MEASURED - {"hands"}, measures={"eyes_open": 0.9}))
    assert (only_eyes.present, only_eyes.absent) == (("eyes_visible",), ())
    assert judge(observation(parts=[hand(0.49)])).absent == ("hands_visible",)


def test_captions_tell_one_hand_from_two() -> None:
    one, two = observation(parts=[hand()]), observation(parts=[hand(), hand()])
    phrases = composition.FACET.phrases["hands_visible"].prose
    assert "both" not in phrases[composition.FACET.variant(one, "hands_visible")]
    assert "both" in phrases[composition.FACET.variant(two, "hands_visible")]


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.8, "close_up"),
        (0.55, "close_up"),
        (0.549, "portrait"),
        (0.36, "portrait"),
        (0.359, "half_body"),
        (0.15, "half_body"),
    ],
)
def test_framing_by_the_height_of_the_face(share: float, expected: str) -> None:
    assert framing.FACET.classify(observation(measures={"face_share": share})).present == (expected,)


def test_a_small_face_is_a_full_length_only_where_there_is_room_for_legs() -> None:
    """Of a small face low in the picture nobody can tell how much of the body is there: that is no half-body shot, and
    no full one.
    """

    def seen(box: Box) -> Reading:
        return framing.FACET.classify(observation(faces=[face(box=box)], measures={"face_share": box.height / 100}))

    assert seen(Box(45, 5, 53, 15)).present == ("full_body",)
    assert not seen(Box(45, 60, 53, 70)).measured
    assert not framing.FACET.classify(observation(faces=[], measures={"face_share": 0.05})).measured


def test_full_length_photos_are_counted_and_never_lacking() -> None:
    assert "full_body" in framing.FACET.values and "full_body" not in framing.FACET.shares


def test_covered_eyes_are_not_called_closed() -> None:
    missing = composition.FACET.phrases["eyes_visible"].missing
    behind = observation(measures={"eyes_open": 0.1, "sunglasses": 0.5})
    shut = observation(measures={"eyes_open": 0.1, "sunglasses": 0.49})
    assert [missing[composition.FACET.variant(seen, "eyes_visible")] for seen in (behind, shut)] == [
        "wearing sunglasses",
        "eyes closed",
    ]


@pytest.mark.parametrize("facet", BUILTIN, ids=lambda facet: facet.name)
def test_photos_of_every_value_can_be_asked_for(facet: DefinedFacet) -> None:
    wishes = [facet.phrases[value].wish for value in facet.values]
    assert all(wishes) and len(set(wishes)) == len(wishes)


@pytest.mark.parametrize(
    ("brightness", "dark", "bright", "expected"),
    [
        (84.9, 0.5, 0.0, "low_key"),
        (85.0, 0.9, 0.0, "normal"),
        (60.0, 0.49, 0.0, "normal"),
        (184.9, 0.0, 0.9, "normal"),
        (185.0, 0.0, 0.5, "high_key"),
        (210.0, 0.0, 0.49, "normal"),
    ],
)
def test_where_dark_and_bright_begin_without_a_model(
    brightness: float, dark: float, bright: float, expected: str
) -> None:
    measures = {"brightness": brightness, "dark_share": dark, "bright_share": bright}
    seen = observation(measured=ALL_MEASURED - {"lighting"}, measures=measures)
    assert lighting.FACET.classify(seen).present == (expected,)


@pytest.mark.parametrize("lacking", ["brightness", "dark_share", "bright_share"])
def test_light_of_which_a_number_is_lacking_cannot_be_told(lacking: str) -> None:
    seen = observation(measured=ALL_MEASURED - {"lighting"})
    del seen.measures[lacking]  # type: ignore[attr-defined]
    assert not lighting.FACET.classify(seen).measured


def test_a_lighting_model_goes_before_the_rule_of_thumb() -> None:
    dark = {"brightness": 40.0, "dark_share": 0.8, "bright_share": 0.0}
    assert lighting.FACET.classify(observation(measures={**dark, "lighting.normal": 0.9})).present == ("normal",)
    assert not lighting.FACET.classify(observation(measures={**dark, "lighting.normal": 0.3})).measured


@pytest.mark.parametrize("facet", [expression.FACET, setting.FACET], ids=lambda facet: facet.name)
def test_an_unsure_model_says_nothing(facet: DefinedFacet) -> None:
    first, second = facet.values[:2]
    sure = observation(faces=[face()], measures={f"{facet.name}.{first}": 0.2, f"{facet.name}.{second}": 0.41})
    unsure = observation(faces=[face()], measures={f"{facet.name}.{value}": 0.2 for value in facet.values})
    assert facet.classify(sure).present == (second,)
    assert not facet.classify(unsure).measured
