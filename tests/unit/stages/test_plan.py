"""Shots: what is asked for, and that each depends on its own names only."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.things import gap
from twinloop.domain.faces import Box
from twinloop.domain.shots import Shot, derive_seed
from twinloop.facets import BUILTIN
from twinloop.stages.fixed_shots import plan_panel
from twinloop.stages.plan import PlanSettings, plan, unplannable
from twinloop.stages.sources import Source
from twinloop.stages.words import Around, Voice

ANA = Voice("ohwx ana", "prose")

GAPS = (
    gap(count=15),
    gap("composition", "hands_visible", 10),
    gap("face_angle", "three_quarter", 4),
    gap("expression", "angry", 3),
    gap("expression", "surprised", 2),
)


def settings(**changes: object) -> PlanSettings:
    data: dict[str, object] = {
        "voice": ANA,
        "seed": 0,
        "iteration": 1,
        "num_per_gap": 3,
        **changes,
    }
    return PlanSettings(**data)  # type: ignore[arg-type]


@given(st.permutations(GAPS))
def test_a_shot_does_not_depend_on_the_order_of_the_gaps(order: list[object]) -> None:
    shots = {shot.key: shot for shot in plan(order, BUILTIN, settings())}  # type: ignore[arg-type]
    assert shots == {shot.key: shot for shot in plan(GAPS, BUILTIN, settings())}


def test_more_shots_per_gap_leave_the_first_ones_as_they_are() -> None:
    few, many = plan(GAPS, BUILTIN, settings()), plan(GAPS, BUILTIN, settings(num_per_gap=9))
    assert set(few) < set(many)


def test_the_seed_comes_from_run_round_gap_and_index() -> None:
    for shot in plan(GAPS, BUILTIN, settings(seed=5, iteration=2)):
        assert shot.seed == derive_seed(5, "ohwx ana", 2, shot.facet, shot.value, shot.index)


def test_no_seed_comes_twice_over_rounds_and_gaps() -> None:
    seeds = [shot.seed for number in (1, 2, 3) for shot in plan(GAPS, BUILTIN, settings(iteration=number))]
    panel = [shot.seed for shot in plan_panel(BUILTIN, ANA, 0, 24)]
    assert len({*seeds, *panel}) == len(seeds) + len(panel) == 3 * 15 + 24


def test_every_gap_gets_its_shots_with_stable_names() -> None:
    shots = plan(GAPS, BUILTIN, settings(num_per_gap=2))
    assert [shot.key for shot in shots[:4]] == [
        "face_angle_profile_001",
        "face_angle_profile_002",
        "composition_hands_visible_001",
        "composition_hands_visible_002",
    ]
    assert len(shots) == 10


def test_the_prompt_asks_for_the_gap_and_never_for_its_opposite() -> None:
    for shot in plan([gap()], BUILTIN, settings(num_per_gap=8)):
        assert shot.prompt.startswith("ohwx ana, ")
        assert "profile view" in shot.prompt and "front view" not in shot.prompt
        assert "front view" in shot.negative_prompt
        assert "face_angle" not in dict(shot.traits)


def test_sides_go_round_with_the_index() -> None:
    sides = [
        "left" if "facing left" in shot.prompt else "right" for shot in plan([gap()], BUILTIN, settings(num_per_gap=4))
    ]
    assert sides == ["left", "right", "left", "right"]


def test_an_expression_is_never_asked_for_from_behind() -> None:
    for shot in plan([gap("expression", "angry"), gap()], BUILTIN, settings(num_per_gap=30)):
        if shot.facet == "expression":
            assert dict(shot.traits)["face_angle"] in ("front", "three_quarter")


def test_hands_are_asked_for_where_there_is_room_for_them() -> None:
    shots = plan([gap("composition", "hands_visible")], BUILTIN, settings(num_per_gap=60))
    assert {dict(shot.traits)["framing"] for shot in shots} == {"portrait", "half_body"}
    others = plan([gap("expression", "smile")], BUILTIN, settings(num_per_gap=60))
    assert "close_up" in {dict(shot.traits)["framing"] for shot in others}


def test_variety_in_everything_that_is_not_the_gap() -> None:
    shots = plan([gap()], BUILTIN, settings(num_per_gap=40))
    for name in ("expression", "setting", "framing", "lighting"):
        assert len({dict(shot.traits)[name] for shot in shots}) >= 3
    assert len({shot.prompt for shot in shots}) > 30


def test_other_gaps_are_filled_on_the_way() -> None:
    shots = plan([gap(), gap("setting", "outdoor")], BUILTIN, settings(num_per_gap=60))
    outdoors = [dict(shot.traits)["setting"] == "outdoor" for shot in shots if shot.facet == "face_angle"]
    assert sum(outdoors) > 0.45 * len(outdoors)


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.5, 30, 70), (0.99, 95, 100)])
def test_a_share_starts_from_real_photos(share: float, low: int, high: int) -> None:
    shots = plan(
        [gap()], BUILTIN, settings(num_per_gap=100, from_photos=share, photos=(Source("a.jpg"), Source("b.jpg")))
    )
    started = [shot.source for shot in shots if shot.source is not None]
    assert low <= len(started) <= high
    assert set(started) <= {"a.jpg", "b.jpg"}


def test_a_shot_says_where_the_face_is_in_each_photo_it_names() -> None:
    faces = {"a.jpg": Box(1, 2, 30, 40), "b.jpg": None, "c.jpg": Box(5, 6, 70, 80)}
    photos = tuple(Source(path, face=face) for path, face in faces.items())
    for shot in plan([gap()], BUILTIN, settings(num_per_gap=9, from_photos=1.0, photos=photos, references=3)):
        assert shot.source is not None
        assert shot.source_faces == tuple(faces[path] for path in (shot.source, *shot.references))
    unknown = settings(num_per_gap=3, from_photos=1.0, photos=(Source("a.jpg"),))
    assert all(shot.source_faces == () for shot in plan([gap()], BUILTIN, unknown))


def test_a_shot_starts_from_the_pose_it_asks_for_and_names_as_many_photos_as_wanted() -> None:
    photos = tuple(Source(f"{yaw}.jpg", float(yaw), 0.9) for yaw in range(-80, 81, 10))
    shots = plan([gap()], BUILTIN, settings(num_per_gap=20, from_photos=1.0, photos=photos, references=3))
    for shot in shots:
        assert shot.source is not None and len({shot.source, *shot.references}) == 3
        yaw = float(shot.source.removesuffix(".jpg"))
        assert abs(yaw) >= 30 and (yaw > 0) == ("facing right" in shot.prompt)
        assert Shot.from_json(shot.to_json()) == shot
    alone = plan([gap()], BUILTIN, settings(num_per_gap=20, from_photos=1.0, photos=photos))
    assert [(shot.source, shot.references) for shot in alone] == [(shot.source, ()) for shot in shots]
    assert all("references" not in shot.to_json() for shot in alone)


def test_without_photos_nothing_starts_from_one() -> None:
    assert all(shot.source is None for shot in plan([gap()], BUILTIN, settings(from_photos=0.9)))


def test_gaps_nobody_knows_are_named() -> None:
    strange = [gap("weather", "rain"), gap("face_angle", "upside_down")]
    assert plan(strange, BUILTIN, settings()) == []
    assert unplannable([*GAPS, *strange], BUILTIN) == strange


def test_tags_for_models_that_read_tags() -> None:
    (shot,) = plan([gap()], BUILTIN, settings(voice=Voice("1girl, ohwx", "tags"), num_per_gap=1))
    assert shot.prompt.startswith("1girl, ohwx, solo, ")
    assert "masterpiece" in shot.prompt and "worst quality" in shot.negative_prompt


def test_the_users_negative_prompt_replaces_the_general_words() -> None:
    (shot,) = plan([gap()], BUILTIN, settings(voice=replace(ANA, around=Around(negative="hat")), num_per_gap=1))
    assert shot.negative_prompt == "front view, hat"


def test_values_that_the_user_wants_none_of_are_not_drawn_beside_a_gap() -> None:
    unwanted = {"expression": {"angry": 0.0, "surprised": 0.0, "smile": 0.5}}
    shots = plan([gap("face_angle", "profile")], BUILTIN, settings(num_per_gap=60, shares=unwanted))
    drawn = [dict(shot.traits)["expression"] for shot in shots]
    assert not {"angry", "surprised"} & set(drawn) and drawn.count("smile") > 20
    assert "angry" in {dict(s.traits)["expression"] for s in plan([gap()], BUILTIN, settings(num_per_gap=60))}


def test_where_the_user_wants_none_of_any_value_all_are_drawn() -> None:
    nothing = {"expression": dict.fromkeys(("neutral", "smile", "serious", "laughing", "surprised", "angry"), 0.0)}
    shots = plan([gap("face_angle", "profile")], BUILTIN, settings(num_per_gap=30, shares=nothing))
    assert len({dict(shot.traits)["expression"] for shot in shots}) > 3
