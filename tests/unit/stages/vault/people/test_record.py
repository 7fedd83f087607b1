"""people.json and finding people in it."""

from __future__ import annotations

import json

import pytest

from twinloop.errors import InputError, StateError
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people import edits, record
from twinloop.stages.vault.people.record import find_person, read_people


def test_by_id_or_name_whatever_the_case(opened: OpenVault) -> None:
    edits.name(opened, "p001", "Ann Lee")
    people = read_people(opened.vault)
    assert find_person(people, " ann lee ").id == find_person(people, "P001").id == "p001"
    with pytest.raises(InputError, match=r"Nobody is called 'eve'. Known: p001 \(Ann Lee\), p002"):
        find_person(people, "eve")


def test_of_many_people_the_first_are_named_and_the_others_counted(
    opened: OpenVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "MOST_LISTED", 1)
    with pytest.raises(InputError, match=r"Known: p001 and 1 more \(twinloop vault clusters\)"):
        find_person(read_people(opened.vault), "eve")
    monkeypatch.setattr(record, "MOST_LISTED", 2)
    with pytest.raises(InputError, match=r"Known: p001, p002\.$"):
        find_person(read_people(opened.vault), "eve")


def test_who_was_merged_is_found_by_the_old_id(opened: OpenVault) -> None:
    edits.merge(opened, ["p002", "p001"])
    assert find_person(read_people(opened.vault), "p001").id == "p002"


def test_damaged_and_foreign_files_are_refused(opened: OpenVault) -> None:
    path = opened.vault.people
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "version": 99}))
    with pytest.raises(StateError, match="version 99"):
        read_people(opened.vault)
    path.write_text(json.dumps({**data, "faces": ["nonsense"]}))
    with pytest.raises(StateError, match=r"people\.json does not hold .* and run: twinloop vault cluster"):
        read_people(opened.vault)
