"""The grade: counts, sides, and how much a few photos can say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.unit.stages.vault.makers import captioned as made
from tests.unit.things import digest, face, observation
from twinloop.domain.faces import Box
from twinloop.domain.vault import VaultFace, VaultPhoto
from twinloop.facets import BUILTIN
from twinloop.stages.faceless import FINDING
from twinloop.stages.vault.dataset.caption import Captioned
from twinloop.stages.vault.dataset.cut import CutOptions, cut_of
from twinloop.stages.vault.dataset.grade import Finding, Readiness
from twinloop.stages.vault.dataset.readiness import readiness


def judged(
    pictures: Sequence[Captioned],
    duplicates: int = 0,
    cutting: CutOptions = CutOptions(),  # noqa: B008 - frozen
    by_hand: tuple[int, int] = (0, 0),
) -> Readiness:
    return readiness(pictures, BUILTIN, duplicates, cutting, by_hand, carried=0)


def about(found: Readiness, subject: str, words: str = "") -> Finding:
    (finding,) = [finding for finding in found.findings if finding.about == subject and words in finding.text]
    return finding


def balanced(count: int) -> list[Captioned]:
    """Angles as wanted, other things varied."""
    yaws = (0, 0, 0, 35, -35, 30, 70, -70, 5, -35)
    return [made(number, yaws[number % 10]) for number in range(count)]


def test_two_profiles_among_37_are_told_with_the_sides() -> None:
    pictures = [made(n, 0 if n % 2 else 35 * (-1) ** (n // 2)) for n in range(35)] + [made(40, 70), made(41, 75)]
    finding = about(judged(pictures), "angle", "profile")
    assert (
        finding.text == "37 photos, 2 profiles (0 facing left, 2 facing right): take 5 facing left and 2 facing right,"
        " or film a slow turn of the head (twinloop vault frames)."
    )
    assert (finding.level, finding.have, finding.of, finding.add) == ("lack", 2, 37, 7)


@pytest.mark.parametrize(
    ("count", "grade"), [(9, "not yet"), (10, "usable"), (12, "usable"), (40, "ready"), (100, "ready")]
)
def test_the_grade_needs_numbers_and_angles(count: int, grade: str) -> None:
    assert judged(balanced(count)).grade == grade


def test_many_photos_without_profiles_are_only_usable() -> None:
    found = judged([made(n, 0 if n % 2 else 35 * (-1) ** (n // 2)) for n in range(100)])
    assert found.grade == "usable"
    assert about(found, "angle", "profile").add == 25


def test_of_15_photos_a_missing_profile_may_be_chance_and_that_is_said() -> None:
    few = judged([made(n, 0 if n % 2 else 35 * (-1) ** (n // 2)) for n in range(14)] + [made(20, 70)])
    finding = about(few, "angle", "profile")
    unsure = "; too few photos to be sure: the share may lie between 1 and 30 %)"
    assert finding.level == "hint" and unsure in finding.text
    assert finding.low is not None and finding.high is not None and finding.low < 1 / 15 < finding.high
    many = judged(
        [made(n, 0 if n % 2 else 35 * (-1) ** (n // 2)) for n in range(93)] + [made(200 + n, 70) for n in range(7)]
    )
    assert about(many, "angle", "profile").level == "lack"
    assert "too few" not in about(many, "angle", "profile").text


def test_filming_is_proposed_once() -> None:
    texts = [finding.text for finding in judged([made(n, 0) for n in range(40)]).findings if finding.about == "angle"]
    assert ["film a slow turn" in text for text in texts if ": take " in text] == [True, False]


def test_a_side_that_is_missing_altogether_is_told() -> None:
    found = judged([made(n, (0, 70, 35, 30, 0)[n % 5]) for n in range(40)])
    assert "Take a few facing left, too." in about(found, "angle", "profile").text


@pytest.mark.parametrize(("small", "told"), [(20, False), (21, True)])
def test_pictures_far_too_small_for_the_training_size_are_told(small: int, told: bool) -> None:
    pictures = balanced(40)
    for number in range(small):
        cut = pictures[number].cut
        pictures[number] = replace(
            pictures[number], cut=replace(cut, window=replace(cut.window, size=(480, 512 if number else 496)))
        )
    found = judged(pictures)
    assert [finding.about for finding in found.findings].count("pixels") == told
    assert found.grade == ("usable" if told else "ready")
    if told:
        assert about(found, "pixels").text.startswith(
            "21 of 40 pictures are smaller than half the training size of 1024 x 1024 (median: 496 pixels a side)"
        )
    assert not any(finding.about == "pixels" for finding in judged(pictures, cutting=CutOptions(size=512)).findings)


def test_photos_of_one_day_are_told() -> None:
    one_day = [made(n, (0, 70, -70, 35, -35)[n % 5], taken=1e9 + n) for n in range(25)] + [made(50, 0, taken=2e9)]
    finding = about(judged(one_day), "shoots")
    assert finding.level == "lack" and finding.text.startswith("25 of 26 dated photos are of one day")
    spread = [made(n, (0, 70, -70, 35, -35)[n % 5], taken=1e9 + 86_400 * n) for n in range(25)]
    assert about(judged(spread), "shoots").level == "fine"
    for most, level in ((6, "fine"), (7, "lack")):
        taken = [1e9 + (n if n < most else 86_400 * n) for n in range(10)]
        assert about(judged([made(n, 0, taken=moment) for n, moment in enumerate(taken)]), "shoots").level == level


def test_many_years_of_one_face_are_told() -> None:
    year = 365.25 * 86_400
    twenty = [made(n, (0, 70, -70, 35, -35)[n % 5], taken=1e9 + year * n) for n in range(21)]
    finding = about(judged(twenty), "years")
    assert finding.level == "hint" and finding.text.startswith("The dated photos span 18 years (2002 to 2020)")
    assert "--since" in finding.text and (finding.have, finding.of) == (21, 21)
    clock = [made(n, 0, taken=1e9 + 86_400 * n) for n in range(39)] + [made(50, 0, taken=0.0)]
    few = [made(n, 0, taken=1e9 + year * 3 * n) for n in range(9)] + [made(n, 0) for n in range(20, 30)]
    for quiet in (twenty[:8] + [made(n, 0, taken=1e9) for n in range(30, 40)], clock, few):
        assert not [one for one in judged(quiet).findings if one.about == "years"]


def test_what_was_chosen_by_hand_is_counted() -> None:
    found = judged(balanced(40), by_hand=(2, 1))
    finding = about(found, "by hand")
    assert finding.text == "2 photos were taken in by hand and 1 left out." and finding.level == "fine"
    assert found.grade == "ready" and not [one for one in judged(balanced(40)).findings if one.about == "by hand"]


def test_small_faces_are_told() -> None:
    finding = about(judged([made(n, 0, tall=60) for n in range(30)]), "faces")
    assert finding.level == "lack" and "30 of 30 faces are under 128 pixels high (median 60)" in finding.text
    half = [made(n, 0, tall=60 if n % 2 else 300) for n in range(30)]
    assert about(judged(half), "faces").level == "hint"
    assert about(judged([*half, made(30, 0, tall=60)]), "faces").level == "lack", "more than half"


def test_what_was_not_measured_is_not_called_good() -> None:
    found = judged([made(n, None) for n in range(60)])
    assert found.grade == "usable" and "could not be measured" in about(found, "angle").text
    assert about(found, "expression").text.startswith("expression: not measured (no detector for: expression)")
    assert about(found, "setting").text == "setting: not measured (no detector for: setting)."


def test_json_holds_the_grade_the_advice_and_the_intervals() -> None:
    data = judged(balanced(12), duplicates=3).to_json()
    assert data["grade"] == "usable" and data["photos"] == 12
    assert data["text"].startswith("usable: 12 photos, ")
    assert {"about", "level", "text", "have", "of", "add", "interval"} == set(data["findings"][0])
    assert any(item["about"] == "duplicates" and item["have"] == 3 for item in data["findings"])
    levels = [item["level"] for item in data["findings"]]
    assert levels == sorted(levels, key=["stop", "lack", "hint", "fine"].index)


def small_in(side: int, size: int, framing: str) -> str:
    """The advice on faces of 60 pixels in photos of ``side`` pixels that were cut to ``size``."""
    pictures = []
    for number in range(12):
        found = VaultFace(face(box=Box(100, 100, 160, 190 if side > 1000 else 160)), 0.9)
        photo = VaultPhoto(digest(number), ("/p.jpg",), side, side, "0" * 16, None, "real", {}, (found,))
        cut = cut_of(photo, 0, framing, size)
        assert cut is not None
        pictures.append(Captioned(cut, None, observation(number, faces=[cut.subject]), "ohwx", "template"))
    return about(judged(pictures, cutting=CutOptions(framing, size)), "faces").text


def test_a_closer_cut_is_advised_only_where_it_brings_pixels() -> None:
    assert "or cut closer (--framing face: median 90)" in small_in(2000, 512, "keep")
    assert "closer (" not in small_in(2000, 512, "face"), "followed already"
    assert "closer (" not in small_in(250, 1024, "keep"), "nothing was made smaller"


def test_pictures_without_a_face_are_not_asked_for_profiles() -> None:
    def whole(number: int) -> Captioned:
        picture = made(number, None)
        seen = replace(picture.seen, faces=(), measures={})
        return replace(picture, cut=replace(picture.cut, number=None), seen=seen)

    found = judged([*(whole(number) for number in range(24)), made(30, 0)])
    assert found.grade == "ready"
    assert about(found, "angle").text.startswith("24 of 25 pictures are used whole")
    assert '"validation": {"faces": false}' in about(found, FINDING).text
    assert found.text == (
        'ready: 25 photos, 6 hints; no face was found in 24 of 25, so a run needs "validation": {"faces": false}'
    )
    assert not [finding for finding in found.findings if finding.about in ("expression", "framing", "face_angle")]
