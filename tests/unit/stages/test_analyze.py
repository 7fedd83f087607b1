"""Counting, and what counts as a gap."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.things import ALL_MEASURED, face, gap, hand, observation
from twinloop.domain.faces import Box
from twinloop.domain.facet import DefinedFacet, Phrase
from twinloop.domain.model_roles import UNREAD_ON_DRAWINGS
from twinloop.domain.observation import Observation, Reading
from twinloop.errors import InputError
from twinloop.facets import BUILTIN, composition, expression, face_angle, framing, lighting, register_builtin, setting
from twinloop.stages.analyze import Analysis, analysis_json, analyze, check_shares, gaps_from_json

ANGLES = (face_angle.FACET,)


def turned(front: int, three_quarter: int, profile: int) -> list[Observation]:
    yaws = [0.0] * front + [30.0] * three_quarter + [-70.0] * profile
    return [observation(n, faces=[face(yaw)]) for n, yaw in enumerate(yaws)]


def as_json(analysis: Analysis) -> dict[str, object]:
    data = analysis_json(
        analysis,
        person="ana",
        dataset="photos",
        iteration=1,
        left_out=[("a.jpg", "blurred")],
        missing=["hands: no model"],
        settings="abc",
    )
    back: dict[str, object] = json.loads(json.dumps(data))
    return back


def test_the_seeds_example() -> None:
    """8 profiles among 98 photos: 15 more lift them to 20 %, and the sentence is the documented one."""
    result = analyze(turned(60, 30, 8), ANGLES, {"face_angle": {"front": 0, "three_quarter": 0}})
    (only,) = result.gaps
    assert (only.facet, only.value, only.count, only.have, only.total) == ("face_angle", "profile", 15, 8, 98)
    assert only.reason == "Profile shots are 8.2% (target: 20%)"
    assert "add 15 real photos" in only.advice and "; generated images are a guess" in only.advice


def test_hands_in_the_seeds_words() -> None:
    seen = [observation(n, parts=[hand()] if n < 6 else [], measures={"eyes_open": 1.0}) for n in range(50)]
    (only,) = analyze(seen, (composition.FACET,), {}).gaps
    assert only.reason == "Hands visible in 12.0% (target: 30%)"


def test_reasons_and_advice_are_sentences() -> None:
    seen = [observation(n, faces=[face(0.0)], measured=ALL_MEASURED - {"lighting"}) for n in range(10)]
    result = analyze(seen, BUILTIN, {})
    said = {gap.value: (gap.reason, gap.advice) for gap in result.gaps}
    assert said["profile"][0] == "Profile shots are 0% (target: 20%)"
    assert said["three_quarter"][0] == "Three-quarter shots are 0% (target: 30%)"
    assert said["profile"][1].startswith(
        "best remedy: add 3 real photos in profile, or film a slow turn of the head (twinloop vault frames); "
    )
    assert said["high_key"][0] == "High key lighting in 0% (target: 10%)"
    assert "real photos in bright, high-key light;" in said["high_key"][1]
    moods = analyze([observation(n, measures={"expression.smile": 0.9}) for n in range(9)], (expression.FACET,), {})
    (neutral,) = (gap for gap in moods.gaps if gap.value == "neutral")
    assert (neutral.reason, neutral.advice.split(";")[0]) == (
        "Neutral expression in 0% (target: 20%)", "best remedy: add 3 real photos with a neutral expression",
    )  # fmt: skip
    surprised = next(gap for gap in moods.gaps if gap.value == "surprised")
    assert "add 1 real photo with" in surprised.advice


def test_a_facet_without_words_for_a_wish_names_its_value() -> None:
    tint = DefinedFacet(
        "skin_tint",
        ("warm_red",),
        {"warm_red": 0.5},
        {"warm_red": Phrase(("warm",), ("warm",))},
        (),
        lambda _: Reading((), ("warm_red",)),
    )
    (only,) = analyze([observation(n) for n in range(10)], (tint,), {}).gaps
    assert "add 10 real photos with skin tint: warm red;" in only.advice


def test_full_length_photos_are_counted_and_no_gap() -> None:
    standing = [observation(n, faces=[face(box=Box(45, 5, 53, 15))], measures={"face_share": 0.1}) for n in range(4)]
    near = [observation(n, measures={"face_share": 0.6}) for n in range(4, 10)]
    result = analyze([*standing, *near], (framing.FACET,), {})
    counts = {value.value: value.count for value in result.facets[0].values}
    assert counts == {"close_up": 6, "portrait": 0, "half_body": 0, "full_body": 4}
    assert "full_body" not in {gap.value for gap in analyze(near, (framing.FACET,), {}).gaps}


def test_a_facet_without_its_detector_says_which_one() -> None:
    blind = [observation(n, measured=ALL_MEASURED - {"setting"}) for n in range(20)]
    assert as_json(analyze(blind, (setting.FACET,), {}))["not_measured"] == {"setting": "no detector for: setting"}


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_filling_every_gap_alone_reaches_its_share(front: int, three_quarter: int, profile: int) -> None:
    before = analyze(turned(front, three_quarter, profile), ANGLES, {})
    have = {"front": front, "three_quarter": three_quarter, "profile": profile}
    for lacking in before.gaps:
        more = {**have, lacking.value: have[lacking.value] + lacking.count}
        after = analyze(turned(**more), ANGLES, {})
        assert lacking.value not in {g.value for g in after.gaps}


def test_the_largest_need_comes_first_and_equal_ones_by_name() -> None:
    counts = [(g.value, g.count) for g in analyze(turned(90, 5, 5), ANGLES, {}).gaps]
    assert [count for _, count in counts] == sorted((count for _, count in counts), reverse=True)
    assert counts[0][0] == "three_quarter"


def test_a_missing_model_is_not_measured_and_never_a_gap_or_no_gap() -> None:
    blind = [observation(n, measured=ALL_MEASURED - {"expression"}) for n in range(20)]
    result = analyze(blind, (expression.FACET,), {})
    assert result.gaps == ()
    assert as_json(result)["not_measured"] == {"expression": "no detector for: expression"}


def test_one_value_without_its_model_is_named_too() -> None:
    """Eyes are measured, hands are not: the facet as a whole is, and yet nobody may read "no gap for hands"."""
    seen = [observation(n, measured=ALL_MEASURED - {"hands"}, measures={"eyes_open": 1.0}) for n in range(20)]
    data = as_json(analyze(seen, (composition.FACET,), {}))
    assert data["not_measured"] == {"composition: hands_visible": "no detector for: hands"}
    assert data["recommendations"] == []


def test_a_detector_that_saw_some_images_is_not_called_missing() -> None:
    some = [observation(n, measures={"expression.smile": 0.9}) for n in range(10)]
    blind = [observation(n, measured=ALL_MEASURED - {"expression"}) for n in range(10, 14)]
    (counted,) = analyze([*some, *blind], (expression.FACET,), {}).facets
    assert counted.why == "could not be told on these images"


def test_unsure_images_do_not_count_in_the_share() -> None:
    seen = [observation(n, measures={"expression.smile": 0.9}) for n in range(10)] + [
        observation(n, measures={}) for n in range(10, 30)
    ]
    result = analyze(seen, (expression.FACET,), {"expression": {"smile": 0.5}})
    (counted,) = result.facets
    smile = next(value for value in counted.values if value.value == "smile")
    assert (smile.count, smile.measured, smile.share, counted.not_measured) == (10, 10, 1.0, 20)
    assert as_json(result)["not_measured"] == {}


def test_wanted_shares_go_over_the_facets_own() -> None:
    seen = turned(10, 0, 0)
    assert {g.value for g in analyze(seen, ANGLES, {}).gaps} == {"three_quarter", "profile"}
    result = analyze(seen, ANGLES, {"face_angle": {"three_quarter": 0, "profile": 0.5}})
    assert [(g.value, g.count) for g in result.gaps] == [("profile", 10)]


def test_shares_that_fit_nothing_are_all_named() -> None:
    check_shares(ANGLES, {"face_angle": {"profile": 0.4}})
    with pytest.raises(InputError) as caught:
        check_shares(ANGLES, {"face_angel": {"profile": 0.1}, "face_angle": {"profil": 0.1, "front": 0.9}})
    message = str(caught.value)
    assert "face_angel" in message and "'profil'" in message and "more than 1" in message


def test_shares_of_what_needs_a_face_say_so_where_none_is_looked_for() -> None:
    register_builtin()
    facets = (lighting.FACET,)
    with pytest.raises(InputError, match=r"'framing' cannot be told without a face") as told:
        check_shares(facets, {"framing": {"portrait": 0.2}, "frame": {"a": 0.1}}, faces=False)
    assert "validation.faces is false; remove 'framing' from analysis.shares" in str(told.value)
    assert "'frame' is no facet" in str(told.value)
    with pytest.raises(InputError, match="'framing' is no facet in force"):
        check_shares(facets, {"framing": {"portrait": 0.2}})


def test_shares_of_a_facet_that_are_too_many_by_themselves_are_not_the_users_mistake() -> None:
    greedy = dataclasses.replace(face_angle.FACET, shares={"front": 0.9, "profile": 0.9})
    check_shares((greedy,), {})
    with pytest.raises(InputError, match=r"1\.30, more than 1"):
        check_shares((greedy,), {"face_angle": {"front": 0.4}})


def test_few_photos_are_said_to_be_few() -> None:
    assert "only 1 image:" in analyze(turned(1, 0, 0), ANGLES, {}).notes[0]
    assert "only 9 images:" in analyze(turned(9, 0, 0), ANGLES, {}).notes[0]
    assert analyze(turned(10, 0, 0), ANGLES, {}).notes == ()
    assert analyze([], ANGLES, {}).gaps == ()


def test_a_share_of_few_images_is_pointed_out() -> None:
    """Left and right profiles show no expression: 70 % smiles may be 7 of 10 images among 40."""
    seen = [observation(n, measures={"expression.smile": 0.9, "eyes_open": 1.0} if n < 10 else {}) for n in range(40)]
    assert analyze(seen, (expression.FACET, composition.FACET, face_angle.FACET), {}).notes == (
        "expression could be told on 10 of 40 images; its shares are of those",
        "composition: eyes_visible could be told on 10 of 40 images; its share is of those",
    )
    moods = ("expression.smile", "expression.angry")
    most = [observation(n, measures={moods[n % 2]: 0.9} if n < 32 else {}) for n in range(40)]
    assert analyze(most, (expression.FACET,), {}).notes == ()


def test_many_faces_of_one_expression_may_be_drawings() -> None:
    def neutral(count: int, *others: str) -> list[Observation]:
        measures = [{"expression.neutral": 0.9}] * count + [{f"expression.{other}": 0.9} for other in others]
        return [observation(n, measures=one) for n, one in enumerate(measures)]

    (note,) = analyze(neutral(12), (expression.FACET,), {}).notes
    assert note.startswith('all 12 faces read as neutral: if these are drawings, set "subject": "character"')
    assert analyze(neutral(11), (expression.FACET,), {}).notes == ()
    assert analyze(neutral(12, "angry"), (expression.FACET,), {}).notes == ()
    assert analyze(neutral(12), (expression.FACET,), {}, "character").notes == ()


def test_a_drawn_character_gets_pictures_for_advice_and_the_reason_for_what_is_not_measured() -> None:
    unread = frozenset({"eyes", "expression"})
    seen = [observation(n, faces=[face(0.0)], measured=ALL_MEASURED - unread) for n in range(10)]
    result = analyze(seen, (face_angle.FACET, expression.FACET), {}, "character", unread)
    assert result.gaps[0].advice.startswith("best remedy: add ") and " photo" not in result.gaps[0].advice
    assert "what the character looks like" in result.gaps[0].advice
    assert as_json(result)["not_measured"] == {"expression": UNREAD_ON_DRAWINGS}
    assert "add pictures first" in analyze(seen[:3], ANGLES, {}, "character").notes[0]


def test_gaps_json_holds_the_seeds_fields_and_what_stands_behind_them() -> None:
    data = as_json(analyze(turned(60, 30, 8), ANGLES, {}))
    assert data["gap_count"] == len(gaps_from_json(data)) == 1
    assert data["left_out"] == [{"path": "a.jpg", "reason": "blurred"}]
    assert data["facets"]["face_angle"]["values"]["profile"] == {
        "count": 8,
        "measured": 98,
        "share": 0.0816,
        "target": 0.2,
    }  # type: ignore[index]


def test_gaps_come_back_from_their_own_json() -> None:
    result = analyze(turned(60, 30, 8), ANGLES, {})
    assert gaps_from_json(as_json(result)) == result.gaps


def test_a_file_written_by_hand_needs_three_fields() -> None:
    (only,) = gaps_from_json({"recommendations": [{"type": "lighting", "target": "low_key", "count": 3}]})
    assert only == gap("lighting", "low_key", 3, total=0, share=0.0, reason="")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "recommendations"),
        ({}, "recommendations"),
        ({"recommendations": {"type": "x"}}, "recommendations"),
        ({"recommendations": ["x"]}, "recommendation 1 needs"),
        (
            {"recommendations": [{"type": "a", "target": "b", "count": 1}, {"type": "a", "count": 2}]},
            "recommendation 2 needs.*target",
        ),
        ({"recommendations": [{"type": "a", "target": "b", "count": "many"}]}, "needs.*count"),
        ({"recommendations": [{"type": "a", "target": "b", "count": 2.5}]}, "2.5"),
        ({"recommendations": [{"type": "a", "target": "b", "count": 0}]}, "1 or more"),
        ({"recommendations": [{"type": "a", "target": "b", "count": True}]}, "True"),
        (
            {"recommendations": [{"type": "a", "target": "b", "count": 1}] * 2},
            "recommendation 2 asks for a: b a second time",
        ),
    ],
)
def test_a_wrong_gaps_file_is_explained_by_position(data: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        gaps_from_json(data)  # type: ignore[arg-type]
