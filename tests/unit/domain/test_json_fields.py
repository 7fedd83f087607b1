"""What is wrong in a record is named by its place in it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from twinloop.domain.json_fields import (
    entry,
    entry_or,
    flag,
    list_of,
    number,
    optional,
    table,
    table_of,
    text,
    whole,
)
from twinloop.domain.records import Dataset

RIGHT: dict[Any, Any] = {text: "a", flag: True, number: 0.5, whole: 3, table: {"a": 1}, list_of(text): ("a", "b")}


@pytest.mark.parametrize("parse", RIGHT)
def test_each_kind_takes_its_own_and_nothing_else(parse: Any) -> None:
    assert parse(RIGHT[parse]) == RIGHT[parse]
    others = [value for kind, value in RIGHT.items() if (kind, parse) != (whole, number) and kind is not parse]
    for other in (*others, None, math.nan, math.inf):
        with pytest.raises(ValueError, match="in the place of"):
            parse(other)


def test_numbers_keep_their_kind_where_it_matters() -> None:
    assert (whole(3.0), type(whole(3.0))) == (3, int)
    assert type(number(3)) is float
    assert whole(10**400) == 10**400
    with pytest.raises(ValueError, match=r"the number 0\.5 in the place of a whole number"):
        whole(0.5)


def test_a_field_may_be_missing_only_where_it_is_said() -> None:
    assert entry_or({}, "a", text, "b") == entry_or({"a": None}, "a", text, "b") == "b"
    assert entry({"a": None}, "a", optional(text)) is None
    assert entry({"a": {"b": [1.0]}}, "a", table_of(list_of(number))) == {"b": (1.0,)}
    with pytest.raises(ValueError, match=r'^"a" is missing$'):
        entry({}, "a", optional(text))
    with pytest.raises(ValueError, match=r'^"a": a list in the place of a text$'):
        entry_or({"a": []}, "a", text, "b")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("null", "null in the place of an object"),
        ("[]", "a list in the place of an object"),
        ("{}", '"members" is missing'),
        ('{"members": {}}', '"members": an object in the place of a list'),
        (
            '{"members": [{"path": "a", "sha256": ["b"]}]}',
            '"members": number 1: "sha256": a list in the place of a text',
        ),
    ],
)
def test_the_error_names_the_place(damage: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}$"):
        Dataset.from_json(json.loads(damage))
