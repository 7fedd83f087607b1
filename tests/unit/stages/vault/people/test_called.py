"""Whose name a face has in photo programs, and what that says of a person."""

from __future__ import annotations

import pytest

from tests.unit.stages.vault.people import makers
from tests.unit.stages.vault.people.makers import key_of
from twinloop.domain.vault import FaceKey
from twinloop.errors import InputError
from twinloop.stages.vault.dataset.whom import person_meant
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people import edits
from twinloop.stages.vault.people.called import in_photos, matched
from twinloop.stages.vault.people.cluster import Clustered
from twinloop.stages.vault.people.record import find_person, read_people
from twinloop.store.pictures.face_regions import Corners, PhotoName
from twinloop.store.vault.photo_names import PhotoNames

LEFT, RIGHT = FaceKey("a", (0.1, 0.1, 0.3, 0.4)), FaceKey("a", (0.6, 0.1, 0.8, 0.4))


def near(key: FaceKey, shift: float = 0.02) -> Corners:
    x0, y0, x1, y1 = key.box
    return (x0 + shift, y0, x1 + shift, y1)


def test_each_region_names_one_face_and_the_best_fit_wins() -> None:
    names = [PhotoName("Anna", near(LEFT)), PhotoName("Ben", near(RIGHT, -0.01)), PhotoName("Cid", near(RIGHT, 0.12))]
    assert matched(names, [LEFT, RIGHT]) == {LEFT: "Anna", RIGHT: "Ben"}
    assert matched([PhotoName("Anna", (0.4, 0.6, 0.5, 0.7))], [LEFT, RIGHT]) == {}
    cheek = FaceKey("a", near(LEFT, 0.04))
    assert matched([PhotoName("Anna", LEFT.box)], [cheek, LEFT]) == {LEFT: "Anna"}, "one region, two faces"


def test_two_standards_say_one_thing_and_contradictions_nothing() -> None:
    assert matched([PhotoName("Anna", near(LEFT)), PhotoName("anna", near(LEFT, 0.01))], [LEFT]) == {LEFT: "Anna"}
    assert matched([PhotoName("Anna", near(LEFT)), PhotoName("Ben", near(LEFT, 0.01))], [LEFT]) == {}


def test_a_name_without_a_place_counts_for_the_only_face() -> None:
    assert matched([PhotoName("Anna")], [LEFT]) == {LEFT: "Anna"}
    assert matched([PhotoName("Anna")], [LEFT, RIGHT]) == {}
    assert matched([PhotoName("Anna"), PhotoName("Ben")], [LEFT]) == {}
    elsewhere = PhotoName("Anna", (0.6, 0.6, 0.9, 0.9))
    assert matched([elsewhere, PhotoName("Anna")], [LEFT]) == {}, "her face was drawn, and this is another"
    assert matched([elsewhere, PhotoName("Anna"), PhotoName("Ben")], [LEFT]) == {LEFT: "Ben"}


def test_a_clear_majority_and_what_may_be_mixed() -> None:
    def said(*names: str) -> tuple[str | None, int, bool]:
        keys = [FaceKey(str(number), (0, 0, 0.5, 0.5)) for number in range(len(names) + 3)]
        found = in_photos(keys, dict(zip(keys, names, strict=False)))
        return found.name, found.faces, found.may_mix

    assert said() == (None, 0, False)
    assert said("Anna", "ANNA", "Anna") == ("Anna", 3, False)
    assert said("Anna", "Anna", "Ben") == ("Anna", 2, False), "one slip"
    assert said("Anna", "Ben") == (None, 1, True)
    assert said("Anna", "Anna", "Anna", "Anna", "Ben", "Ben") == ("Anna", 4, True)


def tell(opened: OpenVault, **names: str) -> Clustered:
    """What photo programs call the faces of photos, and another clustering."""
    known = PhotoNames(opened.catalog)
    known.make()
    for photo, name in names.items():
        sha256 = makers.sha_of(f"{photo}.jpg")
        known.put(sha256.encode(), sha256, "1", [PhotoName(name, key_of(f"{photo}.jpg").box)])
    return makers.clustered(opened)


def test_clustering_shows_the_names_and_gives_none(opened: OpenVault) -> None:
    before = opened.vault.people.read_bytes()
    assert b"named" not in before
    done = tell(opened, ann0="Anna Maier", ann1="Anna Maier", bea0="Bea")
    assert done.changed and not done.new
    p001, p002 = read_people(opened.vault).persons
    assert (p001.name, p002.name) == (None, None)
    assert read_people(opened.vault).in_photos(p001).text == "called 'Anna Maier' in your photos (2 faces)"
    assert not makers.clustered(opened).changed
    edits.hide(opened, "p002")
    assert read_people(opened.vault).in_photos(p001).faces == 2, "an edit keeps what was found"


def test_who_has_no_name_yet_is_found_by_that_of_the_photos(opened: OpenVault) -> None:
    tell(opened, ann0="Anna Maier", bea0="Bea")
    people = read_people(opened.vault)
    assert find_person(people, "anna maier").id == "p001"
    meant = person_meant(opened, people, "Bea", None)
    assert (meant.person.id, meant.guessed) == ("p002", 0) and "called 'Bea' in your photos (1 face)" in meant.why
    edits.name(opened, "p002", "Anna Maier")
    people = read_people(opened.vault)
    assert find_person(people, "Anna Maier").id == person_meant(opened, people, "Anna Maier", None).person.id == "p002"
    with pytest.raises(InputError, match="Nobody is called 'Bea'"):
        find_person(people, "Bea")  # the user called her otherwise


def test_nobody_is_taken_for_whom_photos_call_otherwise(opened: OpenVault) -> None:
    tell(opened, ann0="Anna Maier", bea0="Bea")
    edits.name(opened, "p001", "alice")
    with pytest.raises(InputError) as refused:
        person_meant(opened, read_people(opened.vault), "anna maier", None)
    said = str(refused.value)
    assert said.startswith(
        "In your photos 'anna maier' is p001, who is called alice (1 face). If this is whom you mean"
    )
    assert (
        ": --person alice" in said and "twinloop vault name p001 'anna maier'" in said and "--reference PHOTO" in said
    )
    with pytest.raises(InputError, match="In your photos 'Anna Maier' is p001, who is called alice"):
        find_person(read_people(opened.vault), "Anna Maier")
    with pytest.raises(InputError) as refused:
        person_meant(opened, read_people(opened.vault), "Serena", None)
    assert "p002, who is on most photos of those without a name, is called 'Bea' in your photos" in str(refused.value)
    assert "twinloop vault name p002 Serena" in str(refused.value) and "--person Bea" in str(refused.value)
    edits.hide(opened, "p002")
    with pytest.raises(InputError, match=r"'Bea' is p002, who is hidden .* twinloop vault show p002"):
        person_meant(opened, read_people(opened.vault), "Bea", None)


def test_who_has_no_name_in_photos_either_is_taken_before_who_has_another(opened: OpenVault) -> None:
    tell(opened, bea0="Bea")
    found = person_meant(opened, read_people(opened.vault), "Serena", None)
    assert (found.person.id, found.guessed) == ("p001", 0)


def test_two_people_of_one_name_are_both_listed(opened: OpenVault) -> None:
    tell(opened, ann0="Anna", ann1="Anna", bea0="Anna")
    people = read_people(opened.vault)
    for find in (lambda: find_person(people, "Anna"), lambda: person_meant(opened, people, "Anna", None)):
        with pytest.raises(InputError, match=r"p001 \(2 faces\), p002 \(1 face\).* vault merge p001 p002"):
            find()
    edits.merge(opened, ["p001", "p002"])
    people = read_people(opened.vault)
    assert people.in_photos(find_person(people, "Anna")).counts == (("Anna", 3),)
