"""Which photo stands where: sides, remarks, real before synthetic, and the difference between
missing and not measured.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.unit.exporters.makers import candidate, dataset, face
from tests.unit.things import hand
from twinloop.domain.faces import Box
from twinloop.errors import InputError
from twinloop.exporters.candidates import Candidate
from twinloop.exporters.choose import Choice, Missing, Policy, choose, ranked
from twinloop.exporters.did import presenter_slot, shot_of
from twinloop.exporters.head import Window
from twinloop.exporters.slots import ANGLES, angle_slots, expression_slots
from twinloop.facets import expression

POLICY = Policy(prefer_real=True, head_pixels=200.0, window=None)
(FRONT,) = angle_slots(["front"])


@pytest.mark.parametrize(
    ("name", "holds", "others"),
    [
        ("profile_left", (-50.0, -90.0), (50.0, 90.0, -49.0, 0.0)),
        ("profile_right", (50.0, 90.0), (-90.0, 49.0)),
        ("profile", (-90.0, 90.0), (30.0,)),
        ("three_quarter", (-35.0, 35.0), (0.0, 60.0)),
        ("three_quarter_left", (-35.0,), (35.0,)),
        ("left_30", (-30.0,), (30.0, -45.0)),
        ("right_30", (30.0,), (-30.0, 10.0)),
        ("front", (0.0, 19.0, -19.0), (21.0, -21.0)),
    ],
)
def test_sides_are_the_viewers(name: str, holds: tuple[float, ...], others: tuple[float, ...]) -> None:
    (slot,) = angle_slots([name])
    assert all(slot.admits(candidate(yaw=yaw)) for yaw in holds)
    assert not any(slot.admits(candidate(yaw=yaw)) for yaw in others)
    side = {-1: "viewer's left", 0: "", 1: "viewer's right"}[ANGLES[name].side]
    assert side in slot.wanted


def test_names_that_are_not_known_are_told_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'sideways'.*profile_left"):
        angle_slots(["front", "sideways"])
    with pytest.raises(InputError, match=r"'bored'.*neutral, smile"):
        expression_slots(["bored"], expression.FACET)
    with pytest.raises(InputError, match="once"):
        angle_slots(["front", "front"])
    with pytest.raises(InputError, match="once"):
        angle_slots([])


def test_fewer_remarks_win_then_real_then_the_score() -> None:
    made, real = candidate("made.png", 0.0, origin="synthetic"), candidate("real.png", 8.0)
    smiling = candidate("smiling.png", 0.0, "smile")
    best = [c.candidate.name for c in ranked(FRONT, [smiling, made, real], POLICY)]
    assert best == ["real.png", "made.png", "smiling.png"]
    any_origin = Policy(prefer_real=False, head_pixels=200.0, window=None)
    assert ranked(FRONT, [smiling, made, real], any_origin)[0].candidate.name == "made.png"


def test_the_order_of_files_does_not_matter() -> None:
    photos = [candidate(f"{n}.png") for n in range(6)]
    forward, backward = (ranked(FRONT, order, POLICY) for order in (photos, photos[::-1]))
    assert [c.candidate.name for c in forward] == [c.candidate.name for c in backward]


def test_missing_and_not_measured_are_told_apart() -> None:
    none = choose(FRONT, dataset(candidate(yaw=80.0)), POLICY)
    blind = choose(FRONT, dataset(candidate(yaw=None)), POLICY)
    assert isinstance(none, Missing) and none.why == "none of 1 usable photo shows it"
    assert isinstance(blind, Missing) and "not measured" in blind.why
    seen_once = choose(FRONT, dataset(candidate(yaw=None), candidate("b.png", yaw=80.0)), POLICY)
    assert isinstance(seen_once, Missing) and seen_once.why == "none of 2 usable photos shows it"
    (angry,) = expression_slots(["angry"], expression.FACET)
    unread = choose(angry, dataset(candidate(shown=None)), POLICY)
    assert isinstance(unread, Missing) and "not measured" in unread.why
    assert "add a real photo" in unread.slot.remedy


def test_what_is_not_measured_of_a_drawn_character_blames_no_file() -> None:
    drawn = dataclasses.replace(dataset(candidate(shown=None, yaw=None)), unread=frozenset({"eyes", "expression"}))
    (angry,) = expression_slots(["angry"], expression.FACET)
    unread, blind = (choose(slot, drawn, POLICY) for slot in (angry, FRONT))
    assert isinstance(unread, Missing) and "not measured of a drawn character" in unread.why
    assert "analysis.facets" in unread.why and "doctor" not in unread.why
    assert isinstance(blind, Missing) and "no detector for it" in blind.why


def test_usable_photos_add_up_with_those_that_were_left_out() -> None:
    found = choose(FRONT, dataset(candidate(yaw=80.0), left_out=(("b.png", "blurred"), ("c.png", "blurred"))), POLICY)
    assert isinstance(found, Missing) and found.why == "none of 1 usable photo shows it (2 of 3 were left out)"


def test_what_is_known_goes_before_what_is_not() -> None:
    """Two notes of small things on a neutral face are less than not knowing what a face shows, and a smile is worse
    than both.
    """
    neutral, unknown = candidate("neutral.png", pitch=20.0), candidate("unknown.png", shown=None)
    smile = candidate("smile.png", shown="smile")
    slot = presenter_slot()
    assert [c.candidate.name for c in ranked(slot, [smile, unknown, neutral], POLICY)] == [
        "neutral.png",
        "unknown.png",
        "smile.png",
    ]


def test_shut_eyes_come_last_whatever_is_said_against_the_others() -> None:
    shut = candidate("shut.png", measures={"eyes_open": 0.07})
    poor = candidate("poor.png", shown=None, pitch=20.0, parts=[hand()])
    ordered = ranked(presenter_slot(), [shut, poor], POLICY)
    assert [(c.candidate.name, c.spoilt) for c in ordered] == [("poor.png", False), ("shut.png", True)]


@pytest.mark.parametrize(
    ("photo", "remark"),
    [
        (candidate(measures={"eyes_open": 0.1}), "eyes closed or hidden"),
        (candidate(measures={"jaw_open": 0.5}), "mouth open"),
        (candidate(shown="laughing"), "mouth probably open (laughing)"),
        (candidate(shown="serious"), "expression is serious, not neutral"),
        (candidate(shown=None), "expression not measured"),
        (candidate(pitch=20.0), "looks up"),
        (candidate(parts=[hand()]), "hands in the picture"),
        (candidate(yaw=18.0), "within 5 degrees"),
    ],
)
def test_what_is_said_against_a_frontal_photo(photo: object, remark: str) -> None:
    choice = choose(FRONT, dataset(photo), POLICY)  # type: ignore[arg-type]
    assert isinstance(choice, Choice)
    assert any(remark in text for text in choice.remarks)


def test_nothing_is_said_against_a_good_one() -> None:
    choice = choose(FRONT, dataset(candidate()), POLICY)
    assert isinstance(choice, Choice) and choice.remarks == () and 0.9 < choice.score <= 1.0


def test_a_turned_smile_is_no_picture_for_a_set_of_frontal_ones() -> None:
    (smile,) = expression_slots(["smile"], expression.FACET)
    assert smile.admits(candidate(shown="smile", yaw=25.0))
    assert not smile.admits(candidate(shown="smile", yaw=45.0))


def test_a_small_face_is_remarked_on_for_presenters() -> None:
    small = candidate(box=Box(10, 10, 70, 90))
    (choice,) = ranked(presenter_slot(), [small], POLICY)
    assert any("80 pixels high, at least 200" in text for text in choice.remarks)


def test_how_much_of_a_picture_lies_outside_of_the_photo_is_said_in_percent() -> None:
    policy = Policy(prefer_real=True, head_pixels=200.0, window=Window(heads=6.0, eye_line=0.4))
    inside = policy.inside(candidate())
    assert inside is not None and 0.2 < inside < 0.8
    (choice,) = ranked(FRONT, [candidate()], policy)
    assert f"a close-up: {100 * (1 - inside):.0f}% of the picture lies outside of the photo" in choice.remarks


def test_the_medium_shot_stays_inside_the_photo() -> None:
    shot = shot_of(candidate(box=Box(0, 0, 30, 40)))
    assert (shot.x0, shot.y0) == (0, 0) and shot.width == shot.height == pytest.approx(136)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"sharpness": 1.0}, {"sharpness": 0.4}),
        ({"likeness": 0.6}, {"likeness": 0.3}),
        ({"measures": {"face_quality": 0.9}}, {"measures": {"face_quality": 0.5}}),
        ({"box": Box(200, 100, 400, 400)}, {"box": Box(200, 150, 400, 400)}),
        ({"yaw": 0.0, "sharpness": 0.5}, {"yaw": 14.0, "sharpness": 1.0}),  # the view counts for most
    ],
    ids=lambda part: next(iter(part)),
)
@pytest.mark.parametrize("names", [("a.png", "b.png"), ("b.png", "a.png")])
def test_of_two_without_remarks_the_better_one_goes_first(
    better: dict[str, Any], worse: dict[str, Any], names: tuple[str, str]
) -> None:
    """Whatever they are called: no tie decides."""

    def with_changes(name: str, changes: dict[str, Any]) -> Candidate:
        made = candidate(name, **{key: value for key, value in changes.items() if key in ("measures", "box", "yaw")})
        own = {key: value for key, value in changes.items() if key in ("sharpness", "likeness")}
        return dataclasses.replace(made, **own)

    photos = [with_changes(name, changes) for name, changes in zip(names, (better, worse), strict=True)]
    assert [one.candidate.name for one in ranked(FRONT, photos, POLICY)] == list(names)


def beside(box: Box) -> Candidate:
    """Another face in the photo of one of 200 x 250 pixels."""
    one = candidate()
    return dataclasses.replace(one, seen=dataclasses.replace(one.seen, faces=(one.face, face(box=box))))


@pytest.mark.parametrize(
    ("photo", "spoilt"),
    [
        (beside(Box(420, 150, 620, 400)), True),
        (beside(Box(420, 150, 470, 200)), False),  # far behind
        (beside(Box(520, 150, 640, 400)), False),  # at the other end
        (candidate(measures={"eyes_open": 0.1}), True),
        (candidate(parts=[hand(0.2)]), False),  # hardly a hand
    ],
)
def test_only_another_face_close_by_or_shut_eyes_spoil_a_picture(photo: Candidate, spoilt: bool) -> None:
    (choice,) = ranked(FRONT, [photo], POLICY)
    assert (choice.spoilt, choice.remarks != ()) == (spoilt, spoilt)


@pytest.mark.parametrize(("tilt", "told"), [(20.0, "tilted by +20"), (-20.0, "tilted by -20"), (9.0, ""), (-9.0, "")])
def test_a_tilted_head_is_remarked_on_for_presenters_whichever_way(tilt: float, told: str) -> None:
    one = candidate()
    tilted = dataclasses.replace(one, head=dataclasses.replace(one.head, tilt=tilt))
    (choice,) = ranked(presenter_slot(), [tilted], POLICY)
    said = "; ".join(text for text in choice.remarks if "tilted" in text)
    assert told in said and bool(told) == bool(said)


def test_an_unknown_pose_is_remarked_on_among_expressions() -> None:
    (smile,) = expression_slots(["smile"], expression.FACET)
    known, unknown = (
        candidate("known.png", shown="smile", pitch=20.0),
        candidate("unknown.png", yaw=None, shown="smile"),
    )
    ordered = ranked(smile, [unknown, known], POLICY)
    assert [one.candidate.name for one in ordered] == ["known.png", "unknown.png"]
    assert ordered[1].remarks == ("head pose not measured",)
