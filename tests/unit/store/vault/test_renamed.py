"""Where a training set went whose person got another name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from twinloop.store.vault.decisions import DecisionLog
from twinloop.store.vault.renamed import new_place


@pytest.fixture
def organized(tmp_path: Path) -> Path:
    return tmp_path / "vault/organized"


def prepared(organized: Path, name: str, person: str) -> Path:
    (organized / name).mkdir(parents=True)
    (organized / name / "person.json").write_text(json.dumps({"person": person}))
    return organized / name


def said(organized: Path, *decisions: tuple[str, dict[str, Any]], undo: bool = False) -> None:
    log = DecisionLog(organized.parent / "decisions.jsonl")
    for kind, data in decisions:
        log.add(kind, data)
    if undo:
        log.undo()


def named(person: str, name: str) -> tuple[str, dict[str, Any]]:
    return "name", {"person": person, "name": name}


def test_the_place_of_an_earlier_name_is_found(organized: Path) -> None:
    place = prepared(organized, "bob", "p001")
    prepared(organized, "carl", "p002")
    said(organized, named("p001", "alice"), named("p002", "carl"), named("p001", "bob"))
    assert new_place(organized / "alice") == place
    assert new_place(organized / "Alice.") == place, "as folders are told apart"
    assert new_place(organized / "p001") == place, "prepared before it had a name"
    assert new_place(place) is None and new_place(organized / "dora") is None
    assert new_place(organized.parent / "alice") is None, "no training set of a vault"


def test_a_name_that_was_taken_back_was_a_name_too(organized: Path) -> None:
    place = prepared(organized, "bob", "p001")
    said(organized, named("p001", "alice"), undo=True)
    said(organized, named("p001", "bob"))
    assert new_place(organized / "alice") == place


def test_of_two_who_had_the_name_the_last_one_is_meant(organized: Path) -> None:
    prepared(organized, "bob", "p001")
    place = prepared(organized, "carl", "p002")
    said(organized, named("p001", "alice"), named("p001", "bob"), named("p002", "alice"), named("p002", "carl"))
    assert new_place(organized / "alice") == place


def test_a_person_who_was_made_one_with_another_is_found_with_that_one(organized: Path) -> None:
    place = prepared(organized, "bob", "p003")
    said(
        organized,
        named("p001", "alice"),
        ("merge", {"into": "p002", "people": ["p001"]}),
        ("merge", {"into": "p003", "people": ["p002"]}),
    )
    assert new_place(organized / "alice") == place


def test_kohyas_folder_is_found_inside(organized: Path) -> None:
    place = prepared(organized, "bob", "p001")
    said(organized, named("p001", "alice"), named("p001", "bob"))
    inside = organized / "alice/10_ohwx woman"
    assert new_place(inside) == place
    (place / "10_ohwx woman").mkdir()
    assert new_place(inside) == place / "10_ohwx woman"


def test_damaged_decisions_tell_nothing(organized: Path) -> None:
    prepared(organized, "bob", "p001")
    (organized.parent / "decisions.jsonl").write_text("{\n{\n")
    assert new_place(organized / "alice") is None
