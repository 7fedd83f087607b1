"""Prompts and captions from the same words."""

from __future__ import annotations

import dataclasses

import pytest

from tests.unit.things import face, hand, observation
from twinloop.domain.faces import Box
from twinloop.domain.facet import DefinedFacet, Phrase, one_of
from twinloop.facets import BUILTIN, face_angle
from twinloop.stages.words import (
    NEGATIVE,
    QUALITY,
    TAGGED,
    Around,
    Voice,
    caption,
    phrase,
)

HAT = DefinedFacet(
    "hat",
    ("cap",),
    {},
    {"cap": Phrase(("wearing a cap",), (), ("bare head", "blurry"))},
    (),
    lambda seen: one_of(("cap",), "cap"),
)


def test_parts_stand_in_the_order_of_a_sentence() -> None:
    wanted = {"lighting": {"low_key": 0}, "face_angle": {"profile": 1}, "framing": {"close_up": 0}, "hat": {"cap": 0}}
    assert (
        Voice("ohwx ana", "prose").prompt((HAT, *BUILTIN), wanted)
        == "ohwx ana, close-up portrait, side profile view, facing right, low-key lighting, dark, moody, wearing a"
        f" cap, {QUALITY['prose']}"
    )


@pytest.mark.parametrize(("variant", "side"), [(0, "left"), (1, "right"), (2, "left"), (7, "right")])
def test_variants_go_round(variant: int, side: str) -> None:
    assert phrase(face_angle.FACET, "profile", "prose", variant).endswith(side)


def test_a_facet_with_words_in_one_style_only_is_still_asked_for() -> None:
    assert phrase(HAT, "cap", "tags", 0) == "wearing a cap"


def test_pony_reads_its_scores_before_the_trigger_and_captions_hold_none() -> None:
    asked = Voice("ohwx ana", "pony").prompt(BUILTIN, {"face_angle": {"profile": 0}})
    assert asked == "score_9, score_8_up, score_7_up, ohwx ana, solo, profile, rating_safe"
    assert Voice("", "pony").negative().startswith("score_6, score_5, score_4")
    assert "score" not in caption("ohwx ana", BUILTIN, observation(faces=[face(-60)]), "pony")


def test_prompts_and_captions_in_tags_are_tags() -> None:
    seen = observation(
        faces=[face(-60)],
        parts=[hand(), hand()],
        measures={
            "expression.smile": 0.9,
            "face_share": 0.4,
            "eyes_open": 0.0,
            "tag.indoors": 0.9,
            "lighting.normal": 0.9,
        },
    )
    assert (
        caption("ohwx woman", BUILTIN, seen, "tags")
        == "ohwx woman, 1girl, solo, portrait, profile, smile, hands up, closed eyes, indoors"
    )
    wanted = {"framing": {"half_body": 0}, "composition": {"eyes_visible": 0}, "lighting": {"normal": 0}}
    assert Voice("1girl, ohwx", "tags").prompt(BUILTIN, wanted) == f"1girl, ohwx, solo, upper body, {QUALITY['tags']}"
    assert Voice("", "tags", Around(negative="hat")).negative(BUILTIN, wanted) == "closed eyes, sunglasses, hat"


def test_the_class_word_counts_where_the_trigger_tells_no_sex() -> None:
    assert Voice("ohwx", "tags", Around(suffix="", class_word="man")).prompt((), {}) == "ohwx, 1boy, solo"
    assert caption("ohwx", (), observation(), "tags", "man") == "ohwx, 1boy, solo"
    assert caption("ohwx", (), observation(), "prose", "man") == "ohwx"
    assert caption("ohwx", (), observation(faces=[face(0), face(0)]), "tags", "man") == "ohwx, 1boy"


def test_the_users_words_stand_round_a_prompt_and_in_no_caption() -> None:
    around = Around(prefix="score_9, source_anime", suffix="rating_safe")
    assert Voice("ohwx", "pony", around).prompt((), {}) == "score_9, source_anime, ohwx, solo, rating_safe"
    assert Voice("ohwx", "prose", around).face_prompt((), {}) == "score_9, source_anime, ohwx, rating_safe"
    assert Voice("ohwx", "pony", Around("", "")).prompt((), {}) == "ohwx, solo"


def test_negative_words_come_once() -> None:
    text = Voice("", "prose").negative((HAT,), {"hat": {"cap": 0}})
    assert text == f"bare head, {NEGATIVE['prose']}"  # first, because a model cuts off the end of what is too long
    assert Voice("", "prose", Around(negative="")).negative((HAT,)) == ""


def test_a_caption_describes_what_was_measured_and_nothing_else() -> None:
    seen = observation(
        faces=[face(-60)],
        parts=[hand(), hand()],
        measures={
            "expression.smile": 0.9,
            "face_share": 0.6,
            "eyes_open": 0.0,
            "setting.indoor": 0.1,
            "lighting.normal": 0.9,
        },
    )
    assert (
        caption("ohwx ana", BUILTIN, seen, "prose")
        == "ohwx ana, close-up portrait, side profile view, facing left, smiling, both hands visible, eyes closed, soft"
        " even lighting"
    )


def test_a_caption_leaves_out_what_is_as_usual_and_a_prompt_asks_for_it() -> None:
    seen = observation(measures={"eyes_open": 1.0})
    assert "eyes" not in caption("ohwx ana", BUILTIN, seen, "prose")
    assert "closed eyes" in caption("ohwx ana", BUILTIN, observation(measures={"eyes_open": 0.0}), "tags")
    assert "eyes open" in Voice("ohwx ana", "prose").prompt(BUILTIN, {"composition": {"eyes_visible": 0}})


def test_closed_eyes_look_at_nobody() -> None:
    shut, open_, hidden, untold = (
        caption("ohwx ana", BUILTIN, observation(faces=[face(0)], measures=measures), "tags")
        for measures in (
            {"eyes_open": 0.0}, {"eyes_open": 1.0}, {"eyes_open": 0.1, "sunglasses": 0.9},
            {"eyes_open": 0.0, "eyes_untold": 1.0},
        )
    )  # fmt: skip
    assert "straight-on, facing viewer" in shut and "closed eyes" in shut and "looking at viewer" not in shut
    assert all("straight-on, looking at viewer" in text for text in (open_, hidden, untold))
    said = caption("ohwx ana", BUILTIN, observation(faces=[face(0)], measures={"eyes_open": 0.0}), "prose")
    assert "front view, facing the camera" in said and "looking" not in said


def test_a_caption_names_sunglasses() -> None:
    """Said nowhere, they would fuse with the trigger; called closed eyes, they would teach a wrong word."""
    text = caption("ohwx ana", BUILTIN, observation(measures={"eyes_open": 0.1, "sunglasses": 0.9}), "prose")
    assert "wearing sunglasses" in text and "eyes closed" not in text
    untold = observation(measures={"eyes_open": 0.0, "eyes_untold": 1.0})
    assert all("eyes" not in caption("ohwx ana", BUILTIN, untold, style) for style in ("prose", "full", "tags"))


def test_a_caption_of_a_full_length_photo() -> None:
    seen = observation(faces=[face(box=Box(45, 5, 53, 15))], measures={"face_share": 0.1})
    assert "full-body shot" in caption("ohwx ana", BUILTIN, seen, "prose")
    assert "full body" in caption("ohwx ana", BUILTIN, seen, "tags")


def test_a_caption_of_nothing_measured_is_the_trigger() -> None:
    blind = observation(faces=[], measured=(), measures={})
    kept = {
        name: value
        for name, value in blind.measures.items()
        if name not in ("brightness", "dark_share", "bright_share")
    }
    assert caption("ohwx ana", BUILTIN, dataclasses.replace(blind, measures=kept), "prose") == "ohwx ana"


def test_what_is_as_usual_is_said_only_in_full() -> None:
    """Said in every caption it would fuse with the trigger; a base whose own captions say it is told all the same."""
    open_eyes = observation(measures={"eyes_open": 1.0})
    assert "eyes open" not in caption("ohwx", BUILTIN, open_eyes, "prose")
    assert "eyes open" in caption("ohwx", BUILTIN, open_eyes, "full")
    closed = observation(measures={"eyes_open": 0.0})
    assert all("eyes closed" in caption("ohwx", BUILTIN, closed, style) for style in ("prose", "full"))
    assert all("closed eyes" in caption("ohwx", BUILTIN, closed, style) for style in TAGGED)


@pytest.mark.parametrize("style", ["prose", "tags", "pony"])
def test_a_face_is_asked_for_in_the_words_of_its_shot_but_close_up_and_without_hands(style: str) -> None:
    wanted = {
        "framing": {"half_body": 0},
        "face_angle": {"profile": 1},
        "expression": {"smile": 1},
        "lighting": {"low_key": 0},
        "setting": {"outdoor": 0},
        "composition": {"hands_visible": 1, "eyes_visible": 0},
        "hat": {"cap": 0},
    }
    facets, voice = (*BUILTIN, HAT), Voice("ohwx ana", style)
    close = {**wanted, "framing": {"close_up": 0}, "composition": {"eyes_visible": 0}}
    assert voice.face_prompt(facets, wanted) == voice.prompt(facets, close)
    assert ("close-up, face" if style in TAGGED else "close-up portrait") in voice.face_prompt(facets, {})
    without = tuple(facet for facet in facets if facet.name != "framing")
    assert voice.face_prompt(without, {"hat": {"cap": 0}}) == voice.prompt(without, {"hat": {"cap": 0}})
