"""Clustering a vault again and again: ids last, decisions hold, nothing changes without a reason."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers.same_shot import note_same_shot
from tests.unit.stages.vault.people.makers import (
    album,
    clustered,
    faces_like,
    key_of,
    made_photo,
    names_of,
    sha_of,
    strangers,
    unit,
    vault_of,
)
from tests.unit.things import Recording
from twinloop.domain.vault import VaultPhoto
from twinloop.errors import MissingExtra, NothingToDo, StateError
from twinloop.ports import NeighbourSearch, SilentReporter
from twinloop.stages.vault.people import cluster as stage
from twinloop.stages.vault.people import edits
from twinloop.stages.vault.people.record import People, find_person, read_people
from twinloop.store.vault.folder import Vault

ANN, BEA = album(1, 6, "ann"), album(2, 5, "bea")
OTHERS = [made_photo(f"other{number}.jpg", [row]) for number, row in enumerate(strangers(4))]


def files(people: People, person: str, photos: list[VaultPhoto]) -> set[str]:
    return names_of(find_person(people, person).faces, photos)


def test_people_and_strangers(tmp_path: Path) -> None:
    photos = [*ANN, *BEA, *OTHERS]
    with vault_of(tmp_path, photos) as opened:
        done = clustered(opened)
    assert done.changed and done.new == ("p001", "p002") and done.gone == ()
    assert files(done.people, "p001", photos) == {f"ann{n}.jpg" for n in range(6)} and files(
        done.people, "p002", photos
    ) == {f"bea{n}.jpg" for n in range(5)}
    assert names_of(done.people.strangers, photos) == {f"other{n}.jpg" for n in range(4)}
    assert done.to_json() == {
        "people": 2,
        "faces": 11,
        "strangers": 4,
        "limit": done.people.limit,
        "min_faces": 3,
        "new": ["p001", "p002"],
        "gone": [],
        "changed": True,
    }


def test_faces_are_biometric_data(tmp_path: Path) -> None:
    with vault_of(tmp_path, ANN) as opened:
        clustered(opened)
        edits.name(opened, "p001", "Ann")
    assert {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("people.json", "decisions.jsonl")} == {
        "people.json": 0o600,
        "decisions.jsonl": 0o600,
    }


def test_twice_is_once(tmp_path: Path) -> None:
    with vault_of(tmp_path, [*ANN, *BEA]) as opened:
        clustered(opened)
        before = (tmp_path / "people.json").read_bytes()
        again = clustered(opened)
        assert not again.changed and again.new == () and (tmp_path / "people.json").read_bytes() == before
        assert read_people(opened.vault) == again.people


def test_the_same_from_nothing_is_the_same_to_the_byte(tmp_path: Path) -> None:
    for home, photos in (("a", [*ANN, *BEA, *OTHERS]), ("b", [*OTHERS, *BEA, *ANN])):
        with vault_of(tmp_path / home, photos) as opened:
            clustered(opened)
    assert (tmp_path / "a/people.json").read_bytes() == (tmp_path / "b/people.json").read_bytes()


def test_new_photos_join_and_nobody_is_renamed(tmp_path: Path) -> None:
    with vault_of(tmp_path, BEA) as opened:
        clustered(opened)
    photos = [*BEA, *ANN, *album(2, 1, "bea", start=5)]
    with vault_of(tmp_path, photos) as opened:
        done = clustered(opened)
    assert (
        done.new == ("p002",)
        and "bea5.jpg" in files(done.people, "p001", photos)
        and len(find_person(done.people, "p002").faces) == 6
    )


def test_the_id_of_somebody_who_is_gone_is_not_given_again(tmp_path: Path) -> None:
    with vault_of(tmp_path, [*ANN, *BEA]) as opened:
        clustered(opened)
    with vault_of(tmp_path, ANN) as opened:
        assert clustered(opened).gone == ("p002",)
    with vault_of(tmp_path, [*ANN, *album(3, 5, "cleo")]) as opened:
        assert clustered(opened).new == ("p003",)


def test_who_was_named_comes_back_after_models_that_saw_nobody(tmp_path: Path) -> None:
    photos = [*ANN, *BEA]
    with vault_of(tmp_path, photos) as opened:
        clustered(opened)
        edits.name(opened, "p002", "Bea")
    blind = [
        made_photo(f"{who}{n}.jpg", [row])
        for who, count in (("ann", 6), ("bea", 5))
        for n, row in enumerate(strangers(count, seed=count))
    ]
    with vault_of(tmp_path, blind, fingerprint="eyes-2") as opened:
        assert clustered(opened).gone == ("p001", "p002")
    with vault_of(tmp_path, photos) as opened:
        done = clustered(opened)
    assert (
        files(done.people, "bea", photos) == {f"bea{n}.jpg" for n in range(5)}
        and find_person(done.people, "bea").id == "p002"
    )
    assert done.new == ("p002", "p003"), "nobody ever spoke of p001"


def test_a_small_group_split_off_does_not_take_the_id_of_its_origin(tmp_path: Path) -> None:
    with vault_of(tmp_path, ANN[:3]) as opened:
        clustered(opened)
        edits.split(opened, "p001", [Path("ann1.jpg"), Path("ann2.jpg")])
        edits.name(opened, "p002", "Eve")
    with vault_of(tmp_path, ANN) as opened:
        done = clustered(opened)
    assert "ann0.jpg" in files(done.people, "p001", ANN) and {"ann1.jpg", "ann2.jpg"} <= files(done.people, "Eve", ANN)


def test_names_merges_rejections_and_assignments_survive_new_photos_and_another_detector(tmp_path: Path) -> None:
    photos = [*ANN, *BEA, *OTHERS, *album(3, 3, "cleo")]
    with vault_of(tmp_path, photos) as opened:
        clustered(opened)
        edits.name(opened, "p001", "Ann")
        edits.merge(opened, ["ann", "p003"])
        edits.reject(opened, "p001", [Path("/photos/ann0.jpg")])
        edits.assign(opened, "p002", [Path("/photos/other0.jpg")])
    again = [
        made_photo(Path(photo.paths[0]).name, [face.face.embedding for face in photo.faces], shift=8.0)
        for photo in photos
    ]
    again += [*album(1, 2, "ann", start=6), *album(3, 2, "cleo", start=3)]
    with vault_of(tmp_path, again, "eyes-2") as opened:
        with pytest.raises(StateError, match="twinloop vault cluster"):
            edits.reject(opened, "p001", [Path("/photos/ann1.jpg")])
        people = clustered(opened).people
    assert [person.id for person in people.persons] == ["p001", "p002"] and find_person(people, "ANN").name == "Ann"
    assert files(people, "ann", again) == {*(f"ann{n}.jpg" for n in range(1, 8)), *(f"cleo{n}.jpg" for n in range(5))}
    assert files(people, "p002", again) == {*(f"bea{n}.jpg" for n in range(5)), "other0.jpg"}
    assert "ann0.jpg" in names_of(people.strangers, again)


def look_alikes() -> tuple[list[VaultPhoto], list[VaultPhoto]]:
    """Two people whom the embedder takes for one."""
    one = faces_like(1, 8, 0.75)
    other = unit(faces_like(1, 8, 0.75, seed=3) + 0.5 * faces_like(50, 1)[0])
    return [made_photo(f"one{n}.jpg", [row]) for n, row in enumerate(one)], [
        made_photo(f"two{n}.jpg", [row]) for n, row in enumerate(other)
    ]


def test_after_a_split_new_photos_go_where_they_belong(tmp_path: Path) -> None:
    one, two = look_alikes()
    with vault_of(tmp_path, [*one[:6], *two[:6]]) as opened:
        assert [len(person.faces) for person in clustered(opened).people.persons] == [12], "taken for one person"
        done = edits.split(opened, "p001", [Path(f"/photos/two{n}.jpg") for n in range(6)])
        assert [person.id for person in done.people.persons] == ["p001", "p002"]
    for _ in range(2):  # the second time nothing is new any more
        with vault_of(tmp_path, [*one, *two]) as opened:
            people = clustered(opened).people
        assert files(people, "p001", [*one, *two]) == {f"one{n}.jpg" for n in range(8)}
        assert files(people, "p002", [*one, *two]) == {f"two{n}.jpg" for n in range(8)}
    with vault_of(tmp_path, [*one, *two]) as opened:
        merged = edits.merge(opened, ["p001", "p002"])
        assert [(person.id, len(person.faces)) for person in merged.people.persons] == [("p001", 16)]
        assert merged.text == "p002 now belongs to p001: 16 faces."
        edits.undo(opened)
    with vault_of(tmp_path, [*one, *two]) as opened:
        edits.undo(opened)
        assert [len(person.faces) for person in read_people(opened.vault).persons] == [16], (
            "with the split what followed it is undone"
        )


def test_a_person_all_of_whose_shots_have_other_contents_is_the_same(tmp_path: Path) -> None:
    """Raw photos beside which JPEGs were written."""
    with vault_of(tmp_path, [*ANN, *BEA]) as opened:
        clustered(opened)
        edits.name(opened, "p001", "ann")
        edits.reject_faces(opened, "p001", [key_of("ann5.jpg")])
        edits.assign_faces(opened, "p001", [key_of("bea4.jpg")])
    jpegs = [
        replace(photo, sha256=sha_of(f"jpeg of {name}"), paths=(f"/photos/jpeg of {name}",))
        for photo in (*ANN, *BEA)
        for name in (Path(photo.paths[0]).name,)
    ]
    for photo, jpeg in zip((*ANN, *BEA), jpegs, strict=True):
        note_same_shot(opened.vault.same_shot, photo.sha256, jpeg.sha256)
    with vault_of(tmp_path, jpegs) as opened:
        done = clustered(opened)
    assert done.new == () and done.gone == ()
    wanted = {*(f"jpeg of ann{n}.jpg" for n in range(5)), "jpeg of bea4.jpg"}
    assert files(done.people, "ann", jpegs) == wanted and find_person(done.people, "ann").id == "p001"
    assert names_of(done.people.strangers, jpegs) == {"jpeg of ann5.jpg"}


def test_ids_are_found_again_when_people_json_is_lost(tmp_path: Path) -> None:
    with vault_of(tmp_path, [*ANN, *BEA]) as opened:
        clustered(opened)
        edits.name(opened, "p002", "Bea")
        (tmp_path / "people.json").unlink()
    photos = [*ANN, *BEA, *album(2, 3, "bea", start=5)]
    with vault_of(tmp_path, photos) as opened:
        people = clustered(opened).people
    assert files(people, "bea", photos) == {f"bea{n}.jpg" for n in range(8)} and find_person(people, "bea").id == "p002"
    assert {person.id for person in people.persons} == {"p002", "p003"}, (
        "who was p001 is not known any more, so the number is not given again"
    )


def test_limit_and_least_are_remembered_and_can_be_given_back(tmp_path: Path) -> None:
    with vault_of(tmp_path, [*ANN, *BEA[:3]]) as opened:
        assert clustered(opened, limit=0.6, min_faces=4).people.limit == 0.6
        done = clustered(opened)
        assert not done.changed and (done.people.limit, len(done.people.persons)) == (0.6, 1)
        done = clustered(opened, limit=0.0, min_faces=3)
        assert done.people.limit != 0.6 and len(done.people.persons) == 2


def test_a_limit_of_ones_own_is_not_carried_over_to_another_embedder(tmp_path: Path) -> None:
    said = Recording()
    with vault_of(tmp_path, ANN, "scan|models+yunet+mobilefacenet1-a") as opened:
        assert clustered(opened, limit=0.6).people.limit == 0.6
    with vault_of(tmp_path, ANN, "scan|models+another+mobilefacenet1-a") as opened:
        assert clustered(opened, reporter=said).people.limit == 0.6 and said.warnings == []
    with vault_of(tmp_path, ANN, "scan|models+yunet+arcface1-b") as opened:
        assert clustered(opened, reporter=said).people.limit != 0.6
        (warning,) = said.warnings
        assert "0.60 was chosen for another embedder" in warning and "--limit" in warning
        assert not clustered(opened, reporter=said).changed and len(said.warnings) == 1, "said once"


def test_no_faces_or_none_with_an_embedding_say_what_to_do(tmp_path: Path) -> None:
    with (
        vault_of(tmp_path / "a", [made_photo("a.jpg", [])]) as opened,
        pytest.raises(NothingToDo, match="No faces were found"),
    ):
        clustered(opened)
    with (
        vault_of(tmp_path / "b", [made_photo("a.jpg", [None])]) as opened,
        pytest.raises(NothingToDo, match="no identity vectors"),
    ):
        clustered(opened)
    with pytest.raises(NothingToDo, match="twinloop vault cluster"):
        read_people(Vault(tmp_path / "b"))


def test_faces_without_an_embedding_are_strangers_until_they_are_assigned(tmp_path: Path) -> None:
    photos = [*ANN, made_photo("small.jpg", [None])]
    with vault_of(tmp_path, photos) as opened:
        assert names_of(clustered(opened).people.strangers, photos) == {"small.jpg"}
        edits.assign(opened, "p001", [Path("small.jpg")])
        assert key_of("small.jpg") in find_person(read_people(opened.vault), "p001").faces


def test_very_many_faces_ask_for_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "EXACT_UP_TO", 5)

    def none_installed() -> NeighbourSearch:
        raise MissingExtra("Telling people apart", "large")

    with vault_of(tmp_path, ANN) as opened, pytest.raises(MissingExtra, match=r"\[large\]"):
        stage.cluster(opened, stage.ClusterOptions(), none_installed, SilentReporter())
    assert not (tmp_path / "people.json").exists()


def test_what_lies_in_people_json(tmp_path: Path) -> None:
    with vault_of(tmp_path, ANN) as opened:
        clustered(opened)
        edits.name(opened, "p001", "Ann")
    data = json.loads((tmp_path / "people.json").read_text())
    assert (
        data["people"] == [{"id": "p001", "name": "Ann", "hidden": False, "faces": 6}]
        and data["last"] == 1
        and data["min_faces"] == 3
    )
    assert data["faces"][0].split(" ")[5:] == ["p001", "p001"]
