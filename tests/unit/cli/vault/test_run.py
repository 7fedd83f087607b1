"""What is said at the end of ``twinloop vault run``."""

from __future__ import annotations

from pathlib import Path

from twinloop.cli.vault.run import _account_lines
from twinloop.domain.vault import Person
from twinloop.stages.vault.people.without_face import Account
from twinloop.store.vault.folder import Vault


def told(elsewhere: dict[str, int], **names: str) -> list[str]:
    found = Account(100, 20, 1, 2, elsewhere, 0)
    return _account_lines(found, Person("p001", "alice", ()), names, Vault(Path("v")))


def test_strangers_are_named_whoever_else_there_is_and_people_come_by_their_photos() -> None:
    _, line, merge = told({"p002": 3, "p003": 9, "p004": 4, "p005": 8, "p006": 7, "p007": 2, "strangers": 44})
    others = "9 of p003, 8 of p005, 7 of p006, 4 of p004, 3 of p002, 2 of 1 other person, 44 of strangers"
    assert line == (
        f"What became of 100 pictures: 20 in the training set, 1 left out, 2 without a face that was found, {others}"
    )
    assert "merge p001 p003 p005" in merge
    _, line, _ = told({f"p{number:03d}": 10 - number for number in range(2, 9)})
    assert line.endswith("4 of p006, 5 of 2 other people")


def test_who_was_named_is_called_so_and_not_to_be_merged() -> None:
    _, line, merge = told({"p002": 28, "p003": 9, "p004": 4}, p002="bea", p004="cleo")
    assert line.endswith("28 of bea (p002), 9 of p003, 4 of cleo (p004)")
    assert "merge p001 p003 --vault v;" in merge
    assert len(told({"p002": 28}, p002="bea")) == 2


def test_where_there_are_only_strangers_nobody_is_to_be_merged() -> None:
    _, line = told({"strangers": 1})
    assert line.endswith(", 1 of strangers")
