"""Prompts that stay the same: the panel that LoRAs are measured on, and the samples of a training."""

from __future__ import annotations

import pytest

from twinloop.domain.facet import DefinedFacet, Phrase
from twinloop.domain.observation import Reading
from twinloop.facets import BUILTIN
from twinloop.stages.fixed_shots import NO_SHARES, plan_panel, plan_samples
from twinloop.stages.words import Around, Voice

ANA = Voice("ohwx ana", "prose")


def test_the_panel_walks_through_all_values_evenly() -> None:
    panel = plan_panel(BUILTIN, ANA, 0, 24)
    assert len({shot.key for shot in panel}) == 24
    for facet in BUILTIN:
        if not facet.multiple:
            counts = [sum(dict(shot.traits)[facet.name] == value for shot in panel) for value in facet.shares]
            assert sum(counts) == 24 and min(counts) >= 24 // len(facet.shares) and max(counts) - min(counts) <= 1


@pytest.mark.parametrize(("count", "asking"), [(24, 7), (96, 28), (2, 0)])
def test_the_panel_asks_for_hands_as_often_as_they_are_wanted_and_never_for_what_is_usual(
    count: int, asking: int
) -> None:
    panel = plan_panel(BUILTIN, ANA, 0, count)
    wanted = [dict(shot.traits).get("composition") for shot in panel]
    assert (wanted.count("hands_visible"), wanted.count("eyes_visible")) == (asking, 0)
    assert [value is not None for value in wanted] == ["hand" in shot.prompt for shot in panel]


@pytest.mark.parametrize("seed", range(4))
def test_the_panel_asks_for_no_hands_in_close_ups(seed: int) -> None:
    asked = [dict(shot.traits) for shot in plan_panel(BUILTIN, ANA, seed, 96)]
    beside = [traits["framing"] for traits in asked if "composition" in traits]
    assert len(beside) == 28 and set(beside) == {"portrait", "half_body"}


def test_where_no_prompt_has_room_the_panel_asks_all_the_same() -> None:
    """The user wants close-ups alone, and hands."""
    alone = {"framing": {"close_up": 1.0, "portrait": 0.0, "half_body": 0.0}}
    asked = [dict(shot.traits) for shot in plan_panel(BUILTIN, ANA, 0, 24, alone)]
    assert sum("composition" in traits for traits in asked) == 7


def test_values_that_may_hold_together_share_the_panel() -> None:
    values = ("scarf", "hat", "bag")
    several = DefinedFacet(
        "worn", values, dict.fromkeys(values, 0.5), {value: Phrase((value,), ()) for value in values}, (),
        judge=lambda seen: Reading.unknown(), multiple=True,
    )  # fmt: skip
    panel = plan_panel([several], ANA, 0, 12)
    asked = [dict(shot.traits).get("worn") for shot in panel]
    assert [asked.count(value) for value in values] == [4, 4, 4]


def test_the_panel_is_the_same_every_time_and_another_for_another_seed() -> None:
    first = plan_panel(BUILTIN, ANA, 0, 12)
    assert first == plan_panel(BUILTIN, ANA, 0, 12)
    assert first != plan_panel(BUILTIN, ANA, 1, 12)
    combinations = {shot.traits for shot in first}
    assert len(combinations) >= 11


def test_the_panel_follows_the_users_shares() -> None:
    """A value that the user wants none of is not asked for; one that has a share by the user alone is."""
    wanted = {"expression": {"angry": 0.0}, "framing": {"full_body": 0.2}, "composition": {"hands_visible": 0.5}}
    panel = plan_panel(BUILTIN, ANA, 0, 40, wanted)
    asked = [dict(shot.traits) for shot in panel]
    assert "angry" not in {traits["expression"] for traits in asked}
    assert sum(traits["framing"] == "full_body" for traits in asked) >= 9
    assert sum(traits.get("composition") == "hands_visible" for traits in asked) == 20
    usual = [dict(shot.traits) for shot in plan_panel(BUILTIN, ANA, 0, 40)]
    assert "full_body" not in {traits["framing"] for traits in usual}


def test_samples_are_the_given_prompts_each_with_a_seed_of_its_own() -> None:
    hatless = Voice("ohwx ana", "prose", Around(negative="hat"))
    samples = plan_samples(["ohwx ana on a horse", "a horse"], BUILTIN, hatless, 7, NO_SHARES)
    assert [(shot.key, shot.prompt) for shot in samples] == [
        ("sample_01", "ohwx ana on a horse"),
        ("sample_02", "a horse"),
    ]
    assert len({shot.seed for shot in samples}) == 2 and {shot.negative_prompt for shot in samples} == {"hat"}
    longer = plan_samples(["ohwx ana on a horse", "a horse", "a tree"], BUILTIN, hatless, 7, NO_SHARES)
    assert longer[:2] == samples, "a prompt more changes no other image"


def test_samples_without_prompts_are_of_the_kind_of_the_panels() -> None:
    samples = plan_samples([], BUILTIN, ANA, 7, NO_SHARES)
    assert [shot.key for shot in samples] == [f"sample_{number:02d}" for number in range(1, 5)]
    assert len({shot.prompt for shot in samples}) == 4 and all("ohwx ana" in shot.prompt for shot in samples)
