"""Judging a folder: targets, verdicts, sorting, and the figures that are printed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.fake_photos import fake_photo
from tests.unit.things import Recording, judged, result
from twinloop import checks
from twinloop.adapters.fakes import fake_pack
from twinloop.checks.base import CheckLimits
from twinloop.domain.verdicts import CheckResult, Outcome, Verdict
from twinloop.errors import InputError, NothingToDo, StateError
from twinloop.facets import BUILTIN
from twinloop.stages.observe import Observer
from twinloop.stages.validate import (
    FAILURES,
    Asked,
    Judged,
    Known,
    as_recorded,
    asked_images,
    judge,
    known_image,
    reason_lines,
    sort_into,
    tally,
    verdicts_json,
)
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import GENERATION_METADATA

A, R, U = Outcome.APPROVED, Outcome.REJECTED, Outcome.UNSURE
LIMITS = CheckLimits(min_brightness=10, blur_threshold=1)


def verdict(name: str, outcome: Outcome, quality: float | None = 0.5) -> Verdict:
    return Verdict(name, "ab", "face_angle", "profile", (result(outcome, score=quality, reason="because"),))


def item(path: Path, outcome: Outcome) -> Judged:
    return Judged(Asked(path, "face_angle", "profile"), None, verdict(path.name, outcome))


def folders(home: Path) -> dict[Outcome, Path]:
    return {A: home / "approved", R: home / "rejected", U: home / "unsure"}


def listing(home: Path) -> dict[str, list[str]]:
    return {
        path.name: sorted(p.name for p in path.iterdir())
        for path in map(home.joinpath, ("approved", "rejected", "unsure"))
        if path.exists()
    }


def test_targets_from_the_metadata_go_before_those_in_the_name(tmp_path: Path) -> None:
    for name in ("synthetic_face_angle_profile_001_20241226_143022.png", "renamed.png", "stray.png"):
        (tmp_path / name).write_bytes(b"")
    record = {"images": [{"file": "renamed.png", "type": "expression", "target": "smile"}]}
    (tmp_path / GENERATION_METADATA).write_text(json.dumps(record))
    asked = {a.path.name: (a.facet, a.value) for a in asked_images(tmp_path, BUILTIN)}
    assert asked == {
        "synthetic_face_angle_profile_001_20241226_143022.png": ("face_angle", "profile"),
        "renamed.png": ("expression", "smile"),
        "stray.png": ("", ""),
    }


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("synthetic_composition_hands_visible_012_20241226_143022", ("composition", "hands_visible")),
        ("synthetic_face_angle_three_quarter_1000_20241226_143022", ("face_angle", "three_quarter")),
        ("synthetic_face_angle_upside_down_001_20241226_143022", ("", "")),
        ("synthetic_face_angle_profile_1_20241226_143022", ("", "")),
        ("face_angle_profile_001_20241226_143022", ("", "")),
    ],
)
def test_targets_from_names(tmp_path: Path, name: str, target: tuple[str, str]) -> None:
    (tmp_path / f"{name}.png").write_bytes(b"")
    (only,) = asked_images(tmp_path, BUILTIN)
    assert (only.facet, only.value) == target


def test_a_folder_of_copies_is_left_out_only_where_it_lies_in_the_judged_one(tmp_path: Path) -> None:
    made, inside = tmp_path / "photos" / "made", tmp_path / "photos" / "made" / "approved"
    inside.mkdir(parents=True)
    for folder in (made, inside):
        (folder / f"{folder.name}.png").write_bytes(b"")
    found = asked_images(made, BUILTIN, [tmp_path / "photos", inside])
    assert [asked.path.name for asked in found] == ["made.png"]


def test_an_empty_folder_and_a_wrong_record_are_explained(tmp_path: Path) -> None:
    with pytest.raises(NothingToDo, match=r"Generate some first: python generate_synthetic\.py"):
        asked_images(tmp_path, BUILTIN)
    with pytest.raises(InputError, match="Folder not found"):
        asked_images(tmp_path / "nothing", BUILTIN)
    (tmp_path / "a.png").write_bytes(b"")
    for wrong in ("[]", "{}", '{"images": [{"file": "a.png"}]}', '{"images": 3}'):
        (tmp_path / GENERATION_METADATA).write_text(wrong)
        with pytest.raises(StateError, match=r"does not hold what .* the file names tell the targets too"):
            asked_images(tmp_path, BUILTIN)


def test_the_same_ruler_judges(tmp_path: Path) -> None:
    fake_photo(tmp_path / "hit.png", seed=1, yaw=75)
    fake_photo(tmp_path / "miss.png", seed=2, yaw=0)
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    asked = [Asked(tmp_path / n, "face_angle", "profile") for n in ("hit.png", "miss.png", "torn.png")]
    with Catalog(None) as catalog:
        items = judge(
            asked, Observer(fake_pack(), BUILTIN), catalog, LIMITS, reference=None, known=[], reporter=Recording()
        )
    assert [i.verdict.outcome for i in items] == [A, R, R]
    assert items[1].verdict.reasons == ("asked for profile, got front",)
    assert items[2].seen is None and items[2].verdict.results[0].name == "readable"


def test_of_two_equal_images_the_first_is_approved_and_the_second_a_copy(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        fake_photo(tmp_path / name, seed=1, yaw=75)
    asked = [Asked(tmp_path / n, "face_angle", "profile") for n in ("a.png", "b.png")]
    with Catalog(None) as catalog:
        first, second = judge(
            asked, Observer(fake_pack(), BUILTIN), catalog, LIMITS, reference=None, known=[], reporter=Recording()
        )
    assert first.verdict.outcome is A
    assert second.verdict.outcome is R and "nearly a copy of a.png" in second.verdict.reasons


def test_a_rejected_image_makes_no_later_one_a_copy(tmp_path: Path) -> None:
    """Else a gap loses the second, good image for the first, bad one."""
    for name in ("a.png", "b.png"):
        fake_photo(tmp_path / name, seed=1, yaw=75)
    asked = [Asked(tmp_path / "a.png", "face_angle", "front"), Asked(tmp_path / "b.png", "face_angle", "profile")]
    with Catalog(None) as catalog:
        items = judge(
            asked, Observer(fake_pack(), BUILTIN), catalog, LIMITS, reference=None, known=[], reporter=Recording()
        )
    assert [item.verdict.outcome for item in items] == [R, A]


def test_a_copy_of_a_training_photo_is_rejected(tmp_path: Path) -> None:
    fake_photo(tmp_path / "a.png", seed=1, yaw=75)
    asked = [Asked(tmp_path / "a.png", "face_angle", "profile")]
    observer = Observer(fake_pack(), BUILTIN)
    with Catalog(None) as catalog:
        (free,) = judge(asked, observer, catalog, LIMITS, reference=None, known=[], reporter=Recording())
        assert free.seen is not None
        (copy,) = judge(
            asked,
            observer,
            catalog,
            LIMITS,
            reference=None,
            known=[Known("photo.jpg", free.seen.phash)],
            reporter=Recording(),
        )
    assert "nearly a copy of photo.jpg" in copy.verdict.reasons


def test_an_image_that_was_merged_by_hand_is_no_copy_of_itself(tmp_path: Path) -> None:
    """`validate` run again after `cp approved/* photos/` gives the same verdicts; a photo put among the made images is
    a copy all the same.
    """
    fake_photo(tmp_path / "a.png", seed=1, yaw=75)
    asked = [Asked(tmp_path / "a.png", "face_angle", "profile")]
    observer = Observer(fake_pack(), BUILTIN)
    with Catalog(None) as catalog:
        (free,) = judge(asked, observer, catalog, LIMITS, reference=None, known=[], reporter=Recording())
        assert free.seen is not None
        merged, photo = (dataclasses.replace(free.seen, origin=origin) for origin in ("synthetic", "real"))
        (again,) = judge(
            asked, observer, catalog, LIMITS, reference=None, known=[known_image("a.png", merged)], reporter=Recording()
        )
        (copy,) = judge(
            asked, observer, catalog, LIMITS, reference=None, known=[known_image("a.jpg", photo)], reporter=Recording()
        )
    assert again.verdict.outcome is A
    assert "nearly a copy of a.jpg" in copy.verdict.reasons


def test_images_are_copied_by_outcome_and_originals_stay(tmp_path: Path) -> None:
    source = tmp_path / "synthetic"
    source.mkdir()
    for name in ("a", "b", "c"):
        (source / f"{name}.png").write_bytes(name.encode())
    sort_into([item(source / f"{n}.png", o) for n, o in (("a", A), ("b", R), ("c", U))], folders(tmp_path))
    assert listing(tmp_path) == {"approved": ["a.png"], "rejected": ["b.png"], "unsure": ["c.png"]}
    assert (tmp_path / "approved" / "a.png").read_bytes() == b"a"
    assert len(list(source.iterdir())) == 3


def test_a_new_judgement_moves_the_copies_and_leaves_strangers_alone(tmp_path: Path) -> None:
    source = tmp_path / "synthetic"
    source.mkdir()
    (source / "a.png").write_bytes(b"a")
    sort_into([item(source / "a.png", R)], folders(tmp_path))
    (tmp_path / "rejected" / "mine.png").write_bytes(b"x")
    sort_into([item(source / "a.png", A)], folders(tmp_path))
    assert listing(tmp_path) == {"approved": ["a.png"], "rejected": ["mine.png"]}, (
        "a folder that holds nothing is not made"
    )


def test_judging_a_folder_into_itself_deletes_nothing(tmp_path: Path) -> None:
    (tmp_path / "approved").mkdir()
    (tmp_path / "approved" / "a.png").write_bytes(b"a")
    sort_into([item(tmp_path / "approved" / "a.png", R)], folders(tmp_path))
    assert (tmp_path / "approved" / "a.png").read_bytes() == b"a"


def test_other_pictures_of_the_same_name_stay(tmp_path: Path) -> None:
    """A second batch begins its names anew, and a dataset folder holds photos."""
    source = tmp_path / "synthetic"
    source.mkdir()
    for folder, content in (("synthetic", b"new"), ("approved", b"photo"), ("rejected", b"older")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "IMG_0000.png").write_bytes(content)
    for _ in range(2):
        sort_into([item(source / "IMG_0000.png", A)], folders(tmp_path))
        hashed = f"IMG_0000_{hashlib.sha256(b'new').hexdigest()[:8]}.png"
        assert listing(tmp_path) == {"approved": ["IMG_0000.png", hashed], "rejected": ["IMG_0000.png"]}
    assert (tmp_path / "approved" / "IMG_0000.png").read_bytes() == b"photo"
    assert (tmp_path / "approved" / hashed).read_bytes() == b"new"
    assert (tmp_path / "rejected" / "IMG_0000.png").read_bytes() == b"older"
    sort_into([item(source / "IMG_0000.png", R)], folders(tmp_path))
    assert listing(tmp_path)["approved"] == ["IMG_0000.png"], "the copy of this very image is taken out"


@pytest.mark.parametrize("damage", [lambda whole: whole[:40], lambda whole: whole[:40] + bytes(len(whole) - 40)])
def test_a_damaged_copy_is_replaced_and_taken_out(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    image = tmp_path / "synthetic" / "a.png"
    image.parent.mkdir()
    fake_photo(image, seed=1)
    for outcome in (A, A, R):
        sort_into([item(image, outcome)], folders(tmp_path))
        copy = tmp_path / ("approved" if outcome is A else "rejected") / "a.png"
        assert copy.read_bytes() == image.read_bytes()
        copy.write_bytes(damage(image.read_bytes()))
    assert listing(tmp_path) == {"approved": [], "rejected": ["a.png"]}


def test_a_changed_copy_that_can_be_read_stays(tmp_path: Path) -> None:
    image = tmp_path / "synthetic" / "a.png"
    image.parent.mkdir()
    fake_photo(image, seed=1)
    sort_into([item(image, A)], folders(tmp_path))
    fake_photo(tmp_path / "approved" / "a.png", seed=2)
    kept = (tmp_path / "approved" / "a.png").read_bytes()
    sort_into([item(image, A)], folders(tmp_path))
    assert len(listing(tmp_path)["approved"]) == 2 and (tmp_path / "approved" / "a.png").read_bytes() == kept


def test_images_of_the_same_name_do_not_replace_each_other(tmp_path: Path) -> None:
    paths = [tmp_path / "in" / sub / "same.png" for sub in ("1", "2", "3")]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_bytes(path.parent.name.encode())
    listed = [item(path, outcome) for path, outcome in zip(paths, (A, A, R), strict=True)]
    for _ in range(2):
        sort_into(listed, folders(tmp_path))
        assert sorted(p.read_bytes() for p in (tmp_path / "approved").iterdir()) == [b"1", b"2"]
        assert [p.read_bytes() for p in (tmp_path / "rejected").iterdir()] == [b"3"]


def test_a_judgement_of_before_holds_for_what_was_not_changed_since(tmp_path: Path) -> None:
    recorded = [dataclasses.replace(verdict(name, R), sha256="then") for name in ("same.png", "edited.png", "gone.png")]
    now = [
        dataclasses.replace(item(tmp_path / name, A), verdict=dataclasses.replace(verdict(name, A), sha256=sha256))
        for name, sha256 in (("same.png", "then"), ("edited.png", "now"), ("new.png", "then"))
    ]
    found = as_recorded(now, recorded, tmp_path)
    assert [one.verdict for one in found] == [recorded[0], now[1].verdict, recorded[2]]
    assert [one.asked.path.name for one in found] == ["same.png", "edited.png", "gone.png"]


def test_the_printed_figures() -> None:
    counts = tally([verdict("a", A, 0.9), verdict("b", A, 0.8), verdict("c", R, 0.1), verdict("d", U, 0.6)])
    assert (counts.approved, counts.rejected, counts.unsure, counts.total) == (2, 1, 1, 4)
    assert counts.approval == 0.5
    assert counts.quality == pytest.approx(0.6)
    assert tally([]).approval == 0


def test_why_images_were_not_approved_is_counted() -> None:
    noise = Verdict(
        "n.png",
        "ab",
        "face_angle",
        "profile",
        (CheckResult("one_face", R, 0.0, "1"), result(R, "novelty"), result(U, "identity")),
    )
    crowd = Verdict(
        "c.png", "ab", "face_angle", "profile", (CheckResult("one_face", R, 3.0, "1"), result(R, "novelty"))
    )
    border = Verdict("b.png", "ab", "face_angle", "profile", (result(U, "on_target"),))
    assert reason_lines([noise, crowd, crowd, border, verdict("good", A)]) == [
        "Why rejected: a copy 3, more than one face 2, no face 1", "Why unsure: on target undecided 1"
    ]  # fmt: skip
    assert reason_lines([verdict("good", A)]) == []
    assert reason_lines([dataclasses.replace(noise, human=A)]) == [], "a person took it"


def test_every_check_has_words_for_its_failure() -> None:
    source = "".join(path.read_text() for path in Path(checks.__file__).parent.glob("*.py"))
    named = set(re.findall(r'CheckResult\(\s*"(\w+)"', source))
    assert len(named) >= len(checks.BUILTIN) and named <= FAILURES.keys()


def test_the_record_holds_limits_intervals_and_every_reason() -> None:
    data = json.loads(json.dumps(verdicts_json([verdict("a", A, 0.9), verdict("b", R, 0.2)], LIMITS, "abc")))
    assert (data["approved"], data["rejected"], data["settings"]) == (1, 1, "abc")
    assert data["avg_quality"] == 0.55 and "rejected_early" not in data
    assert data["approval_rate"]["low"] < 0.5 < data["approval_rate"]["high"]
    assert data["limits"]["blur_threshold"] == 1
    assert data["verdicts"][1]["checks"][0]["reason"] == "because"


def test_judged_items_keep_their_target() -> None:
    assert judged("x.png").asked.value == judged("x.png").verdict.value == "profile"
