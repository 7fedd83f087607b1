"""What is said of single photos: the last word counts, other people's photos are refused, prepared sets fall behind."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.helpers.same_shot import note_same_shot
from tests.unit.stages.vault.dataset.preparing import lose, prepare
from tests.unit.stages.vault.makers import fake_vault, work_on
from tests.unit.things import Recording
from twinloop.domain.vault import Label, Person
from twinloop.errors import InputError, NothingToDo, StateError
from twinloop.stages.vault.copies.of_person import alike_in, copies_of
from twinloop.stages.vault.copies.record import DuplicateFile, DuplicateGroup, Duplicates
from twinloop.stages.vault.dataset.by_hand import (
    ByHand,
    behind_outside,
    by_hand,
    chosen_since,
    photos_meant,
    prepared_record,
    say,
)
from twinloop.stages.vault.dataset.own_captions import photo_meant
from twinloop.stages.vault.dataset.prep import PrepOptions, prep
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.status import status
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
        both = frozenset([first, second])
        assert by_hand(opened.decisions, person, {}, {}) == ByHand(left_out=both, in_any_form=both)
        made = say(opened, person, "include", [first])
        now = by_hand(opened.decisions, person, {}, {})
        assert (now.of(first), now.of(second)) == ("include", "exclude") and made.data == {
            "person": "p001",
            "photos": [first],
        }
        say(opened, person, "automatic", [first, second])
        assert by_hand(opened.decisions, person, {}, {}) == ByHand()
        for _ in range(2):
            opened.decisions.undo()
        assert by_hand(opened.decisions, person, {}, {}) == ByHand(left_out=both, in_any_form=both)


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
        assert by_hand(opened.decisions, person, {}, {}) == ByHand() == by_hand(opened.decisions, one, {}, {})
        opened.decisions.add("merge", {"into": "p001", "people": ["p002"], "anchors": {}})
        assert by_hand(opened.decisions, person, {}, {}).left_out == {other.faces[0].sha256}
        assert by_hand(opened.decisions, one, {}, {}) == ByHand(), "a photo that the person is not on"


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


def test_a_prepared_picture_is_meant_by_its_bare_name(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        wanted = sha_of(opened, person, "IMG_0001.png")
        found = prep(opened, work_on(opened, person, LABEL), PrepOptions(layout="kohya"), Recording())
        record = found.folder / "person.json"
        told = record.read_text().replace("IMG_0001.png", "Alice_0001.png")
        record.write_text(told.replace("photos/Alice_", "photos/IMG_"))
        assert photos_meant(opened, person, [Path("Alice_0001.png")]) == [wanted]
        with pytest.raises(InputError, match="not a photo of this vault"):
            photos_meant(opened, person, [Path("elsewhere/Alice_0001.png")])
        others = Person("p001", None, tuple(key for key in person.faces if key.sha256 != wanted))
        with pytest.raises(InputError, match="not a photo of this vault"):
            photos_meant(opened, others, [Path("Alice_0001.png")])


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
            "in_any_form": [first],
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
        assert by_hand(opened.decisions, person, {}, {}) == ByHand(left_out=frozenset([first, second]))
        prepared = {"by_hand": {"left_out": ["raw of first", "raw of second"], "taken_in": []}}
        assert chosen_since(opened, person, prepared) == 0
        with pytest.raises(NothingToDo, match="left out by hand already"):
            say(opened, person, "exclude", [first])
        say(opened, person, "include", [first])
        assert by_hand(opened.decisions, person, {}, {}).of(first) == "include"
        assert chosen_since(opened, person, prepared) == 1
        assert by_hand(opened.decisions, person, {}, {}).of(third) == "automatic"


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
        say(opened, person, "exclude", [second])
        note_copies(opened, first, second)  # a better one that came later
        alike = alike_in(opened.vault)
        now = by_hand(opened.decisions, person, alike, {})
        said = frozenset([second])
        assert now == ByHand(said, copies_out={first: second}, in_any_form=said) and now.of(third) == "automatic"
        prepared = {"by_hand": now.to_json()}
        assert chosen_since(opened, person, prepared) == 0
        say(opened, person, "automatic", [first])
        assert by_hand(opened.decisions, person, alike, {}).copies_out == {}
        assert chosen_since(opened, person, prepared) == 1
        with pytest.raises(NothingToDo, match="chosen automatically already"):
            say(opened, person, "automatic", [first])
        say(opened, person, "include", [second])
        say(opened, person, "exclude", [second])
        assert by_hand(opened.decisions, person, alike, {}).copies_out == {}, "the worse copy alone, from now on"
        say(opened, person, "exclude", [first])
        say(opened, person, "automatic", [second])
        assert by_hand(opened.decisions, person, alike, {}).copies_out == {}, "that is said of it"
        for _ in range(4):
            opened.decisions.undo()
        opened.decisions.undo()  # what gave the choice of the first back to prep
        assert by_hand(opened.decisions, person, alike, {}).copies_out == {first: second}
        opened.decisions.add("keep", {"sha256": first, "instead_of": second})
        assert by_hand(opened.decisions, person, alike, {}).copies_out == {}, "it was wanted instead"


def note_copies(opened: OpenVault, best: str, *others: str) -> None:
    files = [DuplicateFile(f"/{one}", one, False, best, "", {}) for one in others]
    group = DuplicateGroup("near", "alike", (DuplicateFile(f"/{best}", best, True, None, "", {}), *files))
    write_json(opened.vault.duplicates, Duplicates((group,), 6, 10.0, 3, 3).to_json())


def test_who_leaves_out_a_worse_copy_keeps_the_better_one_and_not_those_that_are_worse_still(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        best, bad, worst = (key.sha256 for key in person.faces)
        note_copies(opened, best, bad, worst)
        alike = alike_in(opened.vault)
        assert say(opened, person, "exclude", [bad]).data["worse"] == [bad]
        assert by_hand(opened.decisions, person, alike, {}).copies_out == {worst: bad}
        # the disk with the best one is away
        note_copies(opened, bad, worst, best)
        prepared = {"pictures": [{"source": {"sha256": best}}]}
        now = by_hand(opened.decisions, person, alike_in(opened.vault), prepared=prepared)
        assert now.copies_out == {worst: bad}, "what is in the training set was not meant"
        opened.decisions.undo()
        note_copies(opened, best, bad, worst)
        assert say(opened, person, "exclude", [best]).data["worse"] == []
        assert by_hand(opened.decisions, person, alike, {}).copies_out == {bad: best, worst: best}


def test_of_copies_that_were_left_out_at_once_the_best_is_the_one_that_counts(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        best, bad, worst = (key.sha256 for key in person.faces)
        note_copies(opened, best, bad, worst)
        say(opened, person, "exclude", [bad, best])
        assert by_hand(opened.decisions, person, alike_in(opened.vault), {}).copies_out == {worst: best}
        say(opened, person, "automatic", [bad])
        say(opened, person, "exclude", [bad])
        assert by_hand(opened.decisions, person, alike_in(opened.vault), {}).copies_out == {worst: bad}


def test_of_a_decision_that_does_not_say_it_person_json_tells_what_was_in_the_set(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        best, bad, other = (key.sha256 for key in person.faces)
        note_copies(opened, best, bad)
        alike = alike_in(opened.vault)
        opened.decisions.add("exclude", {"person": "p001", "photos": [bad]})

        def out(*pictured: str, **said: list[str]) -> dict[str, str]:
            prepared = {"pictures": [{"source": {"sha256": one}} for one in pictured], "by_hand": said}
            return dict(by_hand(opened.decisions, person, alike, prepared=prepared).copies_out)

        assert out() == {} == out(best, other), "the kept one was in the set"
        assert out(bad, other) == {best: bad} == out(in_any_form=[bad]), "this one was"
        assert out(best, bad) == {}, "both were"


def test_the_better_copy_of_what_was_left_out_stays_out_however_often_the_set_is_prepared(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 4) as (opened, person):
        better, used, *_ = (key.sha256 for key in person.faces)
        before = dataclasses.replace(person, faces=person.faces[1:])
        prep(opened, work_on(opened, before, LABEL), PrepOptions(), Recording())
        opened.decisions.add("exclude", {"person": "p001", "photos": [used]})
        note_copies(opened, better, used)
        for _ in range(2):
            found = prep(
                opened, work_on(opened, person, LABEL, copies=copies_of(opened, person)), PrepOptions(), Recording()
            )
            assert found.by_hand.copies_out == {better: used} and len(found.files) == 2
            assert chosen_since(opened, person, prepared_record(opened, person)) == 0


def test_a_picture_that_prep_would_remove_as_a_copy_counts_as_chosen_since(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        best, worse, _ = (key.sha256 for key in person.faces)
        say(opened, person, "exclude", [best])
        prep(opened, work_on(opened, person, LABEL), PrepOptions(), Recording())
        assert chosen_since(opened, person, prepared_record(opened, person)) == 0
        note_copies(opened, best, worse)
        assert chosen_since(opened, person, prepared_record(opened, person)) == 1
        all_of_them = {**prepared_record(opened, person), "cutting": {"keep_alike": True}}
        assert chosen_since(opened, person, all_of_them) == 0
        found = prep(
            opened, work_on(opened, person, LABEL, copies=copies_of(opened, person)), PrepOptions(), Recording()
        )
        assert [item.kind for item in found.left_out if item.photo.sha256 == worse] == ["excluded copy"]


@pytest.mark.parametrize("damage", [{"pictures": [1]}, {"files": [2]}, {"pictures": 3}, {"files": [{"file": "a"}]}])
def test_a_damaged_person_json_is_named_with_the_next_step(tmp_path: Path, damage: dict[str, object]) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        folder = prep(opened, work_on(opened, person, LABEL), PrepOptions(), Recording()).folder
        work = work_on(opened, person, LABEL)
        write_json(folder / "person.json", {**prepared_record(opened, person), **damage})
        for attempt in (
            lambda: prep(opened, work, PrepOptions(), Recording()),
            lambda: photo_meant(opened, person, "IMG_0001.png"),
            lambda: say(opened, person, "exclude", [person.faces[0].sha256]),
            lambda: status(opened),
        ):
            with pytest.raises(StateError, match=r"person\.json does not hold .* Move it away"):
                attempt()


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


def test_a_training_set_outside_of_the_vault_falls_behind_by_itself(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    with fake_vault(tmp_path, 4) as (opened, person):
        prepare(opened, person, output=mine)
        picture = next(mine.glob("*.png"))
        photos = photos_meant(opened, person, [picture])
        assert not behind_outside(opened, person) and status(opened).prepared == (str(mine),)
        say(opened, person, "exclude", photos)
        assert behind_outside(opened, person) == {str(mine): 1}
        assert status(opened).behind == {str(mine): 1}
        prepare(opened, person)
        assert chosen_since(opened, person, prepared_record(opened, person)) == 0
        assert behind_outside(opened, person) == {str(mine): 1}
        prepare(opened, person, output=mine)
        assert not picture.exists() and not behind_outside(opened, person)


def test_a_picture_outside_of_the_vault_whose_photo_is_gone_can_be_left_out(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    with fake_vault(tmp_path, 4) as (opened, person):
        prepare(opened, person, output=mine)
        picture = mine / "IMG_0001.png"
        person = lose(opened, person, tmp_path, "IMG_0001.png")
        say(opened, person, "exclude", photos_meant(opened, person, [picture]))
        assert behind_outside(opened, person) == {str(mine): 1}
        prepare(opened, person, output=mine)
        assert not picture.exists() and not behind_outside(opened, person)
