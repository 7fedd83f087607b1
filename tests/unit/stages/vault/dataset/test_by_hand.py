"""What is said of single photos: the last word counts, other people's photos are refused, prepared sets fall behind."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.helpers.same_shot import note_same_shot
from tests.unit.stages.vault.makers import fake_vault, work_on
from tests.unit.things import Recording
from twinloop.domain.vault import Label, Person
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.vault.copies.of_person import alike_in
from twinloop.stages.vault.copies.record import DuplicateFile, DuplicateGroup, Duplicates
from twinloop.stages.vault.dataset.by_hand import (
    ByHand,
    by_hand,
    chosen_since,
    photos_meant,
    prepared_record,
    say,
)
from twinloop.stages.vault.dataset.prep import PrepOptions, prep
from twinloop.stages.vault.opened import OpenVault
from twinloop.store.atomic import write_json
from twinloop.store.vault.listing import Listing

LABEL = Label("p001", "ohwx", "woman")


def sha_of(opened: OpenVault, person: Person, name: str) -> str:
    (found,) = (
        key.sha256
        for key in person.faces
        if (photo := opened.catalog.photo(key.sha256, "test")) and photo.paths[0].endswith(name)
    )
    return found


def test_the_last_word_counts_and_undo_brings_back_the_one_before(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        first, second, _ = (key.sha256 for key in person.faces)
        say(opened, person, "exclude", [first, second])
        assert by_hand(opened.decisions, person) == ByHand(left_out=frozenset([first, second]))
        made = say(opened, person, "include", [first])
        now = by_hand(opened.decisions, person)
        assert (now.of(first), now.of(second)) == ("include", "exclude") and made.data == {
            "person": "p001",
            "photos": [first],
        }
        say(opened, person, "automatic", [first, second])
        assert by_hand(opened.decisions, person) == ByHand()
        for _ in range(2):
            opened.decisions.undo()
        assert by_hand(opened.decisions, person) == ByHand(left_out=frozenset([first, second]))


def test_only_what_is_new_is_written_down(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        first, second, third = sorted(key.sha256 for key in person.faces)
        say(opened, person, "exclude", [first])
        assert say(opened, person, "exclude", [second, first]).data["photos"] == [second]
        with pytest.raises(NothingToDo, match="2 photos are left out by hand already"):
            say(opened, person, "exclude", [first, second, first])
        with pytest.raises(NothingToDo, match="1 photo is chosen automatically already"):
            say(opened, person, "automatic", [third])


def test_what_cannot_be_said(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        mine, other = person.faces[0].sha256, person.faces[1].sha256
        alone = Person("p001", None, person.faces[:1])
        for kind, photos in (("exclude", []), ("include", [mine, other]), ("include", ["0" * 64]), ("forget", [mine])):
            with pytest.raises(InputError):
                say(opened, alone, kind, photos)
        assert not opened.decisions.all()


def test_what_was_said_of_somebody_who_was_merged_goes_along_and_of_others_does_not(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 4) as (opened, person):
        one, other = Person("p001", None, person.faces[:2]), Person("p002", None, person.faces[2:])
        say(opened, other, "exclude", [other.faces[0].sha256])
        assert by_hand(opened.decisions, person) == ByHand() == by_hand(opened.decisions, one)
        opened.decisions.add("merge", {"into": "p001", "people": ["p002"], "anchors": {}})
        assert by_hand(opened.decisions, person).left_out == {other.faces[0].sha256}
        assert by_hand(opened.decisions, one) == ByHand(), "a photo that the person is not on"


def test_photos_are_meant_by_path_by_name_and_by_their_prepared_picture(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        wanted = sha_of(opened, person, "IMG_0001.png")
        found = prep(opened, work_on(opened, person, LABEL), PrepOptions(layout="kohya"), Recording())
        files = [tmp_path / "photos/IMG_0001.png", Path("IMG_0001.png"), found.folder / found.files[wanted]]
        assert photos_meant(opened, person, files) == [wanted]
        others = Person("p001", None, tuple(key for key in person.faces if key.sha256 != wanted))
        for file in files:
            with pytest.raises(InputError, match=r"no face of p001|not a photo"):
                photos_meant(opened, others, [file])
        with pytest.raises(InputError, match="not a photo of this vault"):
            photos_meant(opened, person, [tmp_path / "nowhere.png"])
        with pytest.raises(InputError, match="assign p001 FILE"):
            photos_meant(opened, others, [files[0]])


def test_a_prepared_set_is_behind_until_it_is_prepared_again(tmp_path: Path) -> None:
    def behind() -> int:
        return chosen_since(opened, person, prepared_record(opened, person))

    with fake_vault(tmp_path, 4) as (opened, person):
        first, second = person.faces[0].sha256, person.faces[1].sha256
        say(opened, person, "exclude", [first])
        assert behind() == 0, "nothing is prepared"
        found = prep(opened, work_on(opened, person, LABEL), PrepOptions(), Recording())
        assert behind() == 0 and found.to_json()["by_hand"] == {
            "left_out": [first],
            "taken_in": [],
            "copies": [],
        }
        say(opened, person, "include", [first, second])
        assert behind() == 2
        again = prep(opened, work_on(opened, person, LABEL), PrepOptions(), Recording())
        assert behind() == 0 and again.taken_in == 2 and first in again.files
        opened.decisions.undo()
        assert behind() == 2


def test_a_picture_is_removed_and_comes_back_with_its_own_caption(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 4) as (opened, person):
        photo = sha_of(opened, person, "IMG_0002.png")
        folder = prep(opened, work_on(opened, person, LABEL), PrepOptions(), Recording()).folder
        (folder / "IMG_0002.txt").write_text("ohwx, my own words")
        say(opened, person, "exclude", [photo])
        found = prep(opened, work_on(opened, person, LABEL), PrepOptions(), Recording())
        assert sorted(found.removed) == ["IMG_0002.png", "IMG_0002.txt"] and len(found.files) == 3
        assert [item.reason for item in found.left_out] == ["left out by hand"]
        say(opened, person, "automatic", [photo])
        prep(opened, work_on(opened, person, LABEL), PrepOptions(), Recording())
        assert (folder / "IMG_0002.txt").read_text() == "ohwx, my own words\n" and (folder / "IMG_0002.png").is_file()


def test_what_is_said_of_a_photo_holds_for_its_shot(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        first, second, third = (key.sha256 for key in person.faces)
        note_same_shot(opened.vault.same_shot, "raw of first", first)
        note_same_shot(opened.vault.same_shot, "raw of second", second)
        opened.decisions.add("exclude", {"person": "p001", "photos": ["raw of first", "raw of second"]})
        assert by_hand(opened.decisions, person) == ByHand(left_out=frozenset([first, second]))
        prepared = {"by_hand": {"left_out": ["raw of first", "raw of second"], "taken_in": []}}
        assert chosen_since(opened, person, prepared) == 0
        with pytest.raises(NothingToDo, match="left out by hand already"):
            say(opened, person, "exclude", [first])
        say(opened, person, "include", [first])
        assert by_hand(opened.decisions, person).of(first) == "include"
        assert chosen_since(opened, person, prepared) == 1
        assert by_hand(opened.decisions, person).of(third) == "automatic"


def test_a_prepared_picture_means_the_photo_that_its_shot_has_now(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        found = prep(opened, work_on(opened, person, LABEL), PrepOptions(), Recording())
        first, *rest = person.faces
        note_same_shot(opened.vault.same_shot, first.sha256, "jpeg of first")
        del opened.decisions.same_shot  # another command reads it anew
        now = dataclasses.replace(person, faces=(dataclasses.replace(first, sha256="jpeg of first"), *rest))
        assert photos_meant(opened, now, [found.folder / found.files[first.sha256]]) == ["jpeg of first"]


def test_what_is_said_of_a_photo_holds_for_a_copy_until_something_else_is_said_of_that(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        first, second, third = (key.sha256 for key in person.faces)
        files = (DuplicateFile("/1", first, True, None, "", {}), DuplicateFile("/2", second, False, first, "", {}))
        group = DuplicateGroup("near", "alike", files)
        write_json(opened.vault.duplicates, Duplicates((group,), 6, 10.0, 3, 3).to_json())
        alike = alike_in(opened.vault)
        say(opened, person, "exclude", [second])
        now = by_hand(opened.decisions, person, alike)
        assert now == ByHand(frozenset([second]), copies_out={first: second}) and now.of(third) == "automatic"
        prepared = {"by_hand": now.to_json()}
        assert chosen_since(opened, person, prepared) == 0
        say(opened, person, "automatic", [first])
        assert by_hand(opened.decisions, person, alike).copies_out == {}
        assert chosen_since(opened, person, prepared) == 1
        with pytest.raises(NothingToDo, match="chosen automatically already"):
            say(opened, person, "automatic", [first])
        say(opened, person, "include", [second])
        say(opened, person, "exclude", [second])
        assert by_hand(opened.decisions, person, alike).copies_out == {first: second}, "the last word about the picture"
        opened.decisions.add("keep", {"sha256": first, "instead_of": second})
        assert by_hand(opened.decisions, person, alike).copies_out == {}, "it was wanted instead"


def test_a_picture_whose_photo_is_gone_can_be_left_out(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 4) as (opened, person):
        folder = prep(opened, work_on(opened, person, LABEL), PrepOptions(), Recording()).folder
        lost, *rest = sorted(person.faces, key=lambda key: key.sha256 != sha_of(opened, person, "IMG_0001.png"))
        Listing(opened.catalog).forget_folder(tmp_path / "photos/IMG_0001.png", ())
        now = dataclasses.replace(person, faces=tuple(rest))
        assert photos_meant(opened, now, [folder / "IMG_0001.png"]) == [lost.sha256]
        say(opened, now, "exclude", [lost.sha256])
        assert chosen_since(opened, now, prepared_record(opened, now)) == 1
        found = prep(opened, work_on(opened, now, LABEL), PrepOptions(), Recording())
        assert sorted(found.removed) == ["IMG_0001.png", "IMG_0001.txt"] and found.carried == ()
        assert found.by_hand.left_out == {lost.sha256} and chosen_since(opened, now, prepared_record(opened, now)) == 0
