"""Which photos of a messy folder make the dataset, and why the others do not."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers.fake_photos import fake_photo
from tests.unit.stages.persons import people
from tests.unit.things import Recording, found, observation, photo
from twinloop.adapters.fakes import FakeTruth, fake_image, fake_pack
from twinloop.domain.likeness import USUAL
from twinloop.domain.observation import Observation
from twinloop.errors import NothingToDo
from twinloop.facets import BUILTIN
from twinloop.stages.observe import Observer, Seen
from twinloop.stages.select import (
    Photos,
    Reading,
    look_at,
    made_message,
    originals,
    select,
    several_people_message,
    strange_pictures_message,
)
from twinloop.stages.selection_rules import READABLE_ONLY, Photo, dataset_rules
from twinloop.store.pictures.provenance import synthetic_png
from twinloop.store.run.catalog import Catalog


def test_a_folder_about_several_people_is_told() -> None:
    told = several_people_message(people(6, 4), "my photos", USUAL)
    assert "2 people (6 and 4 photos)" in told and "vault run 'my photos'" in told
    assert several_people_message(people(12), "x", USUAL) == several_people_message(people(12, 2), "x", USUAL) == ""


def test_rules_run_one_after_the_other_and_nothing_is_lost() -> None:
    photos = [*people(12, 1), photo("wall.jpg", faces=[], phash="1" * 16), photo("again.jpg", observation((0, 3)))]
    for number, item in enumerate(photos):
        photos[number] = Photo(item.path, observation_with_hash(item, number))
    listed = [*found(photos), Seen(Path("torn.jpg"), None, "cannot be decoded")]
    selection = select(listed, dataset_rules(USUAL, character=False))
    reasons = dict(selection.left_out)
    assert reasons[Path("wall.jpg")] == "no face found"
    assert reasons[Path("torn.jpg")] == "cannot be decoded"
    assert "another person" in reasons[Path("p1_0.jpg")]
    assert len(selection.photos) + len(selection.left_out) == len(listed)
    assert [path for path, _ in selection.left_out] == [item.path for item in listed if item.path in reasons]


def observation_with_hash(item: Photo, number: int) -> Observation:
    scattered = f"{(number * 0x9E3779B97F4A7C15) % 2**64:016x}"
    return dataclasses.replace(item.seen, phash=scattered)


def test_counting_everything_leaves_out_only_what_cannot_be_read() -> None:
    listed = [
        *found([photo("a.jpg"), photo("copy.jpg", observation("a.jpg"))]),
        Seen(Path("torn.jpg"), None, "is empty"),
    ]
    selection = select(listed, READABLE_ONLY)
    assert [p.path.name for p in selection.photos] == ["a.jpg", "copy.jpg"]
    assert selection.left_out == ((Path("torn.jpg"), "is empty"),)


def test_pictures_of_a_character_that_has_no_photos_are_its_originals() -> None:
    drawn = found([photo(f"{n}.png", observation(n, origin="synthetic")) for n in range(3)])
    chosen = originals(select(drawn, READABLE_ONLY), character=False)
    assert chosen.all_made and [p.seen.origin for p in chosen.photos] == ["real"] * 3
    mixed = originals(select([*drawn, *found([photo("a.jpg", observation("a"))])], READABLE_ONLY), character=False)
    assert not mixed.all_made and [p.seen.origin for p in mixed.photos] == ["synthetic"] * 3 + ["real"]
    assert not originals(select([], READABLE_ONLY), character=False).all_made


def test_what_other_generators_made_is_an_original_of_a_drawn_character(tmp_path: Path) -> None:
    """What this program made is none: the rounds would learn from themselves."""
    own = tmp_path / "own.png"
    own.write_bytes(synthetic_png(fake_image(FakeTruth(), 0), "made", {}))
    made = [photo("other.png", observation(1, origin="synthetic")), photo(str(own), observation(2, origin="synthetic"))]
    chosen = select(found([*made, photo("a.jpg", observation("a"))]), READABLE_ONLY)
    of_character, of_person = originals(chosen, character=True), originals(chosen, character=False)
    assert [p.seen.origin for p in of_character.photos] == ["real", "synthetic", "real"]
    assert [p.seen.origin for p in of_person.photos] == ["synthetic", "synthetic", "real"]
    assert of_character.made_elsewhere == of_person.made_elsewhere == 1
    assert made_message(3, 1, False, True) == (
        "1 of the 3 images says that another generator made it: it counts as originals of the character."
    )
    assert "weigh less" in made_message(3, 1, False, False) and made_message(3, 0, False, False) == ""


OBSERVER = Observer(fake_pack(), BUILTIN)


def looked_at(folder: Path) -> tuple[Photos, Recording]:
    reporter = Recording()
    rules = dataset_rules(USUAL, character=False)
    reading = Reading(rules, character=False, prior=None, masks=str(folder / "masks"))
    return look_at(folder, reading, OBSERVER, Catalog(None), reporter), reporter


def test_a_folder_is_observed_and_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for number in range(3):
        fake_photo(tmp_path / f"{number}.png", seed=number)
    (tmp_path / "masks").mkdir()
    fake_photo(tmp_path / "masks" / "0.png", seed=9)
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    photos, reporter = looked_at(tmp_path)
    assert [item.path.name for item in photos.found] == ["0.png", "1.png", "2.png", "torn.png"]
    assert [photo.path.name for photo in photos.selection.photos] == ["0.png", "1.png", "2.png"]
    assert len(reporter.warnings) == 1 and reporter.warnings[0].startswith("skipped torn.png: ")


def test_a_folder_that_seems_to_show_several_people_is_said(tmp_path: Path) -> None:
    for seed in range(8):
        fake_photo(tmp_path / f"{seed}.png", seed=seed, person=1 + seed % 2)
    _, reporter = looked_at(tmp_path)
    (said,) = reporter.warnings
    assert "seem to show 2 people (4 and 4 photos)" in said and f"twinloop vault run {tmp_path}" in said


def test_where_nothing_can_be_used_the_most_frequent_reasons_are_told(tmp_path: Path) -> None:
    """Each kind with one file, whatever figures and names the reasons of the others hold."""
    left_out = [
        ("a.png", "is empty"),
        ("b.png", "larger than 64 MB"),
        ("c.png", "no face found"),
        ("d.png", "blurred (face sharpness 3, the folder's limit is 9)"),
        ("e.png", "blurred (face sharpness 4, the folder's limit is 9)"),
        ("f.png", "same file as a.png"),
        ("g.png", "same file as b.png"),
        ("h.png", "same file as c.png"),
    ]

    def nothing(photos: Sequence[Photo]) -> dict[Path, str]:
        return {tmp_path / name: reason for name, reason in left_out}

    for seed, (name, _) in enumerate(left_out):
        fake_photo(tmp_path / name, seed=seed)
    with pytest.raises(NothingToDo) as caught:
        look_at(tmp_path, Reading((nothing,), False, None, None), OBSERVER, Catalog(None), Recording())
    assert str(caught.value).splitlines() == [
        f"None of the 8 images in {tmp_path} can be used:",
        "  - f.png: same file as a.png, and 2 more like it",
        "  - d.png: blurred (face sharpness 3, the folder's limit is 9), and 1 more like it",
        "  - a.png: is empty",
    ]


@pytest.mark.parametrize(("faces", "told"), [(4, True), (5, False)])
def test_few_faces_of_the_demos_detectors_are_fewer_than_half(faces: int, told: bool) -> None:
    observer = Observer(dataclasses.replace(fake_pack(), demo=True), BUILTIN)
    seen = found([photo(f"{n}.jpg", faces=None if n < faces else []) for n in range(10)])
    said = strange_pictures_message(seen, observer, character=False)
    assert (f"find a face on {faces} of 10 images" in said) is told
