"""Which photos of a person are used, with a reason for each that is not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.stages.vault.makers import fake_vault, fill, person_in, photo_of
from tests.unit.things import face
from twinloop.domain.faces import Box
from twinloop.domain.vault import FaceKey, Person
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.vault.copies.of_person import Copies
from twinloop.stages.vault.dataset.by_hand import say
from twinloop.stages.vault.dataset.choose import angle_and_side, choose
from twinloop.stages.vault.dataset.cut import Cut, CutOptions
from twinloop.stages.vault.opening import open_vault


def noise(path: Path, width: int = 640, height: int = 480, seed: int = 0, soft: bool = False) -> Path:
    """A picture of noise; ``soft``: without any detail."""
    cells = 4 if soft else max(width, height)
    pixels = np.random.default_rng(seed).integers(0, 255, (min(cells, height), min(cells, width), 3), dtype=np.uint8)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


def test_small_faces_copies_and_blurred_ones_are_left_out_with_the_reason(tmp_path: Path) -> None:
    photos = [
        photo_of(noise(tmp_path / "p" / f"{n}.png", seed=n, soft=n == 5), [face(box=Box(250, 100, 370, 250))])
        for n in range(8)
    ]
    photos.append(photo_of(noise(tmp_path / "p" / "small.png", seed=9), [face(box=Box(10, 10, 40, 50))]))
    fill(tmp_path / "v", photos)
    with open_vault(tmp_path / "v") as opened:
        choice = choose(
            opened, person_in(photos), Copies({photos[2].sha256: "near copy of 1.png"}), CutOptions(size=256)
        )
    reasons = {Path(item.photo.paths[0]).name: item.reason for item in choice.left_out}
    assert set(reasons) == {"2.png", "5.png", "small.png"} and choice.copies == 1
    assert (
        reasons["2.png"] == "near copy of 1.png"
        and "blurred" in reasons["5.png"]
        and "40 pixels high; 64" in reasons["small.png"]
    )
    assert [cut.path.name for cut in choice.cuts] == ["0.png", "1.png", "3.png", "4.png", "6.png", "7.png"]


def test_max_photos_keeps_every_angle(tmp_path: Path) -> None:
    yaws = [0.0] * 9 + [-70.0, 70.0, 35.0]
    photos = [
        photo_of(noise(tmp_path / "p" / f"{n:02d}.png", seed=n), [face(yaw, box=Box(250, 100, 370, 250))])
        for n, yaw in enumerate(yaws)
    ]
    fill(tmp_path / "v", photos)
    with open_vault(tmp_path / "v") as opened:
        choice = choose(opened, person_in(photos), Copies(), CutOptions(size=256, max_photos=5))
    assert len(choice.cuts) == 5 and len(choice.left_out) == 7
    assert {angle_and_side(cut.found.face.pose) for cut in choice.cuts} == {
        "front",
        "profile_left",
        "profile_right",
        "three_quarter_right",
    }


def test_in_a_group_photo_the_cut_is_around_the_person(tmp_path: Path) -> None:
    crowd = [face(box=Box(60, 100, 260, 360)), face(box=Box(500, 100, 640, 280))]
    photo = photo_of(noise(tmp_path / "p" / "two.png", 900, 600), crowd)
    fill(tmp_path / "v", [photo])
    with open_vault(tmp_path / "v") as opened:
        (cut,) = choose(opened, person_in([photo], {photo.sha256: 1}), Copies(), CutOptions(size=512)).cuts
    assert cut.number == 1 and cut.window.box[0] >= 260 and cut.window.others == 0
    subject = cut.subject.box
    assert 0 <= subject.x0 < subject.x1 <= cut.window.size[0] and 0 <= subject.y0 < subject.y1 <= cut.window.size[1]


def test_two_faces_of_the_person_in_one_photo_count_once(tmp_path: Path) -> None:
    photo = photo_of(
        noise(tmp_path / "p" / "mirror.png", 900, 600),
        [face(box=Box(60, 100, 160, 230)), face(box=Box(500, 100, 700, 360))],
    )
    fill(tmp_path / "v", [photo])
    with open_vault(tmp_path / "v") as opened:
        (cut,) = choose(opened, Person("p001", None, (photo.key(0), photo.key(1))), Copies(), CutOptions()).cuts
    assert cut.number == 1


def test_a_hidden_person_is_not_prepared(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 1) as (opened, person), pytest.raises(InputError, match="hidden"):
        choose(opened, Person(person.id, person.name, person.faces, hidden=True), Copies(), CutOptions())


def test_nothing_left_says_why(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 2) as (opened, person):
        with pytest.raises(
            NothingToDo, match=r"None of the 2 photos of p001 \(alice\).*\n  - IMG_0000\.png: the face is"
        ):
            choose(opened, person, Copies(), CutOptions(min_face=250))
        with pytest.raises(NothingToDo, match="Scan again"):
            choose(opened, Person("p009", None, ()), Copies(), CutOptions())
        hidden = replace(opened, record=replace(opened.record, exclude=("2019/**", "raw")))
        with pytest.raises(
            NothingToDo, match=r"--exclude '2019/\*\*', --exclude raw matches.*scan --no-exclude"
        ) as told:
            choose(hidden, Person("p009", None, ()), Copies(), CutOptions())
        assert "Scan again" not in str(told.value)


def names(cuts: Iterable[Cut]) -> list[str]:
    return [cut.path.name for cut in cuts]


def test_what_is_taken_in_by_hand_is_used_small_blurred_or_copied(tmp_path: Path) -> None:
    photos = [
        photo_of(noise(tmp_path / "p" / f"{n}.png", seed=n, soft=n == 5), [face(box=Box(250, 100, 370, 250))])
        for n in range(8)
    ]
    photos.append(photo_of(noise(tmp_path / "p" / "small.png", seed=9), [face(box=Box(10, 10, 40, 50))]))
    fill(tmp_path / "v", photos)
    person, copies, options = person_in(photos), Copies({photos[2].sha256: "near copy of 1.png"}), CutOptions(size=256)
    with open_vault(tmp_path / "v") as opened:
        say(opened, person, "include", [photos[2].sha256, photos[5].sha256, photos[8].sha256])
        choice = choose(opened, person, copies, options)
        assert not choice.left_out and choice.copies == 0
        assert names(choice.cuts) == [*(f"{n}.png" for n in range(8)), "small.png"], "in the order of the paths"
        opened.decisions.undo()
        assert len(choose(opened, person, copies, options).left_out) == 3


def test_what_is_left_out_by_hand_changes_nothing_for_the_others(tmp_path: Path) -> None:
    """Not the limit of blur, and no copy steps in."""
    photos = [
        photo_of(noise(tmp_path / "p" / f"{n}.png", seed=n, soft=n > 4), [face(box=Box(250, 100, 370, 250))])
        for n in range(8)
    ]
    fill(tmp_path / "v", photos)
    person, copies = person_in(photos), Copies({photos[1].sha256: "near copy of 0.png", photos[2].sha256: "copy"})
    with open_vault(tmp_path / "v") as opened:
        before = choose(opened, person, copies, CutOptions(size=256))
        say(opened, person, "exclude", [photos[0].sha256, photos[2].sha256])
        after = choose(opened, person, copies, CutOptions(size=256))
    assert names(after.cuts) == [name for name in names(before.cuts) if name not in ("0.png", "2.png")]
    said = {item.photo.sha256: item.reason for item in after.left_out}
    assert said[photos[0].sha256] == said[photos[2].sha256] == "left out by hand"
    assert (before.copies, after.copies) == (2, 1), "what was left out by hand is not counted as a copy"


def test_what_is_taken_in_by_hand_comes_first_and_is_never_too_many(tmp_path: Path) -> None:
    photos = [
        photo_of(noise(tmp_path / "p" / f"{n:02d}.png", seed=n), [face(yaw, box=Box(250, 100, 370, 250))])
        for n, yaw in enumerate([0.0] * 6 + [-70.0, 70.0])
    ]
    fill(tmp_path / "v", photos)
    person = person_in(photos)
    with open_vault(tmp_path / "v") as opened:
        plain = choose(opened, person, Copies(), CutOptions(size=256, max_photos=3))
        worst = sorted(item.photo.sha256 for item in plain.left_out)[:2]
        say(opened, person, "include", worst)
        choice = choose(opened, person, Copies(), CutOptions(size=256, max_photos=3))
        assert len(choice.cuts) == 3 and {cut.photo.sha256 for cut in choice.cuts} >= set(worst)
        one = choose(opened, person, Copies(), CutOptions(size=256, max_photos=1))
        assert {cut.photo.sha256 for cut in one.cuts} == set(worst)


def test_only_photos_of_the_dates_and_those_without_one(tmp_path: Path) -> None:
    def moment(year: int, month: int, day: int, hour: int = 12) -> float:
        return datetime(year, month, day, hour, tzinfo=UTC).timestamp()

    times = {
        "a": moment(2014, 12, 31, 23),
        "b": moment(2015, 1, 1, 0),
        "c": moment(2019, 12, 31, 23),
        "d": moment(2020, 1, 1, 0),
        "e": None,
    }
    photos = [
        photo_of(noise(tmp_path / "p" / f"{name}.png", seed=seed), [face(box=Box(250, 100, 370, 250))], taken)
        for seed, (name, taken) in enumerate(times.items())
    ]
    fill(tmp_path / "v", photos)
    person = person_in(photos)
    with open_vault(tmp_path / "v") as opened:
        choice = choose(opened, person, Copies(), CutOptions(size=256, since="2015", until="2019"))
        assert names(choice.cuts) == ["b.png", "c.png", "e.png"] and choice.undated == 1
        assert [item.reason for item in choice.left_out] == [
            "taken on 2014-12-31, before 2015 (--since)",
            "taken on 2020-01-01, after 2019 (--until)",
        ]
        assert choose(opened, person, Copies(), CutOptions(size=256)).undated == 0, "nobody asked for dates"
        say(opened, person, "include", [photos[0].sha256, photos[1].sha256])
        copies = Copies({photos[0].sha256: "copy", photos[1].sha256: "copy"})
        again = choose(opened, person, copies, CutOptions(size=256, since="2015", until="2019"))
        assert names(again.cuts) == ["b.png", "c.png", "e.png"], "of another time it stays out, taken in or not"
        assert again.copies == 0, "what its date leaves out is not counted as a copy"


def test_a_face_of_just_the_least_height_is_used(tmp_path: Path) -> None:
    photos = [
        photo_of(noise(tmp_path / "p" / f"{tall}.png", seed=tall), [face(box=Box(250, 100, 310, 100 + tall))])
        for tall in (64, 63)
    ]
    fill(tmp_path / "v", photos)
    with open_vault(tmp_path / "v") as opened:
        choice = choose(opened, person_in(photos), Copies(), CutOptions(size=256, min_face=64))
    assert names(choice.cuts) == ["64.png"] and "63 pixels high; 64" in choice.left_out[0].reason


@pytest.mark.parametrize(
    "options",
    [
        CutOptions(framing="toes"),
        CutOptions(size=64),
        CutOptions(size=9999),
        CutOptions(since="2015-13"),
        CutOptions(until="soon"),
        CutOptions(since="2016", until="2015-06"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: CutOptions) -> None:
    with fake_vault(tmp_path, 1) as (opened, person), pytest.raises(InputError):
        choose(opened, person, Copies(), options)


def test_a_whole_picture_needs_no_face(tmp_path: Path) -> None:
    wide = photo_of(noise(tmp_path / "p" / "wide.png", 640, 480), [])
    near = photo_of(noise(tmp_path / "p" / "face.png", seed=1), [face(box=Box(250, 100, 370, 250))])
    fill(tmp_path / "v", [wide, near])
    person = Person("p001", "bolt", (FaceKey.of_whole(wide.sha256), near.key(0)))
    with open_vault(tmp_path / "v") as opened:
        choice = choose(opened, person, Copies(), CutOptions(size=256, framing="face"))
        few = choose(opened, person, Copies(), CutOptions(size=256, max_photos=1))
    cuts = {cut.path.name: cut for cut in choice.cuts}
    bolt = cuts["wide.png"]
    assert bolt.number is None and bolt.found is None and bolt.subject is None and bolt.other_faces == ()
    assert bolt.window.box[2] - bolt.window.box[0] > 600, "no framing cuts around a head that is not known"
    assert cuts["face.png"].number == 0 and cuts["face.png"].window.box[2] - cuts["face.png"].window.box[0] < 500
    assert len(few.cuts) == 1


def test_copies_are_kept_where_that_is_wanted(tmp_path: Path) -> None:
    photos = [photo_of(noise(tmp_path / "p" / f"{n}.png", seed=n), [face(box=Box(250, 100, 370, 250))]) for n in (1, 2)]
    fill(tmp_path / "v", photos)
    copies = Copies({photos[0].sha256: "near copy of 2.png"})
    with open_vault(tmp_path / "v") as opened:
        usual = choose(opened, person_in(photos), copies, CutOptions(size=256))
        alike = choose(opened, person_in(photos), copies, CutOptions(size=256, keep_alike=True))
    assert (len(usual.cuts), usual.copies, len(alike.cuts), alike.copies) == (1, 1, 2, 0)


def test_where_the_kept_photo_is_of_no_use_the_best_usable_copy_stands_in(tmp_path: Path) -> None:
    """As after `keep`: the face of the chosen one is too small, or blurred."""
    tall, small = Box(250, 100, 370, 250), Box(10, 10, 40, 50)
    boxes = [tall] * 6 + [small, small, tall, tall, tall, tall]
    photos = [
        photo_of(noise(tmp_path / "p" / f"{n:02d}.png", seed=n, soft=n in (8, 9)), [face(box=box)])
        for n, box in enumerate(boxes)
    ]
    fill(tmp_path / "v", photos)
    sha = [photo.sha256 for photo in photos]
    worse = {sha[n]: "near copy" for n in (7, 9, 10, 11)}
    copies = Copies(worse, {sha[6]: (sha[7], sha[10]), sha[8]: (sha[9], sha[11])})
    person, options = person_in(photos), CutOptions(size=256)
    with open_vault(tmp_path / "v") as opened:
        choice = choose(opened, person, copies, options)
        assert names(choice.cuts) == [*(f"{n:02d}.png" for n in range(6)), "10.png", "11.png"]
        said = {Path(item.photo.paths[0]).name: item.reason for item in choice.left_out}
        assert said["06.png"].endswith("(--min-face); 10.png is used instead")
        assert said["08.png"].startswith("blurred") and said["08.png"].endswith("; 11.png is used instead")
        assert (said["07.png"], choice.copies) == ("near copy", 2)
        say(opened, person, "include", [sha[6]])
        say(opened, person, "exclude", [sha[11]])
        again = choose(opened, person, copies, options)
    assert names(again.cuts) == [*(f"{n:02d}.png" for n in range(7))], "what was said by hand comes first"


def test_a_copy_shares_what_was_said_by_hand_and_a_repetition_of_a_burst_does_not(tmp_path: Path) -> None:
    photos = [
        photo_of(noise(tmp_path / "p" / f"{n}.png", seed=n), [face(box=Box(250, 100, 370, 250))]) for n in range(5)
    ]
    fill(tmp_path / "v", photos)
    first, copy, _, old, better = (photo.sha256 for photo in photos)
    alike = {first: (first, copy), copy: (first, copy), old: (better, old), better: (better, old)}
    copies = Copies({copy: "near copy", old: "near copy"}, {first: (copy,), better: (old,)}, alike)
    person, options = person_in(photos), CutOptions(size=256)
    with open_vault(tmp_path / "v") as opened:
        say(opened, person, "exclude", [copy])
        say(opened, person, "include", [old])
        choice = choose(opened, person, copies, options)
        assert names(choice.cuts) == ["2.png", "3.png"]
        said = {Path(item.photo.paths[0]).name: (item.reason, item.kind) for item in choice.left_out}
        assert said == {
            "0.png": ("a copy of 1.png, which was left out by hand", "excluded copy"),
            "1.png": ("left out by hand", ""),
            "4.png": ("a copy of 3.png, which was taken in by hand and is used instead", "copy"),
        }
        assert choice.by_hand.to_json()["copies"] == sorted([first, better]) and choice.copies == 1
        every = choose(opened, person, copies, replace(options, keep_alike=True))
        assert names(every.cuts) == ["0.png", "2.png", "3.png", "4.png"], "only what was named"
